"""
Execution module for Salt: what a technician types on a router, on every router at once.

    salt 'branch-*' tandem.lte_state wwp0s21u1i8
    salt 'branch-*' tandem.show_device_interface
    salt 'branch-0042' tandem.retry lte-dev-1
    salt 'branch-0042' tandem.serial_command /dev/ttyUSB8 ATQ0

Copy it to the file roots under ``_modules`` and run ``saltutil.sync_modules``. It needs ``tandem`` on the minion.
"""

import json

__virtualname__ = "tandem"


def __virtual__():
    if __salt__["cmd.which"]("tandem"):
        return __virtualname__
    return False, "tandem is not installed on this minion"


def _run(*words):
    """Standard output of one command; an error of the command is an error of the call."""
    from salt.exceptions import CommandExecutionError

    result = __salt__["cmd.run_all"](["tandem", *words], python_shell=False)
    if result["retcode"] != 0:
        raise CommandExecutionError(result["stderr"].strip() or f"exit status {result['retcode']}")
    return result["stdout"]


def lte_state(interface):
    """What changes of an LTE interface: address, signal, carrier."""
    return json.loads(_run("lte-state", interface))


def lte_info(interface):
    """What does not change: model, firmware, bands."""
    return json.loads(_run("lte-info", interface))


def show_device_interface(name=None):
    """State, settings, failure context and signal of the links."""
    words = ["show", "device-interface", "--json"]
    return json.loads(_run(*words, *([name] if name else [])))


def show_uplinks():
    """Who carries the traffic, and why."""
    return json.loads(_run("show", "uplinks", "--json"))


def serial_command(port, command):
    """One AT command and its answer."""
    return _run("serial-command", "port", port, command)


def image_preference(interface, image=None):
    """Firmware images of a modem; with ``image`` the preference is changed, and taken back if it does not take."""
    words = ["get"] if image is None else ["set", image]
    return _run("lte-image-preference", f"--interface={interface}", *words)


def retry(name):
    """An attempt now, whatever the link waits for."""
    return _run("retry", name).strip()


def reset(name, at=False):
    """Reset a modem, by QMI or by AT command."""
    return _run("reset", name, *(["--at"] if at else [])).strip()
