//! Who carries, given what each uplink is worth. A pure choice over plain data.

use crate::config::Policy;

use super::report::Standing;

/// One uplink, as the choice sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub standing: Standing,
    pub is_wired: bool,
    pub priority: u32,
    /// Whether it carries now.
    pub carrying: bool,
    /// Whether it may not yet take traffic from an uplink that works.
    pub held: bool,
}

/// Who carries from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// Indices of those that carry, ascending.
    pub carrying: Vec<usize>,
    /// Whether traffic goes to another uplink although all that carried it are as good as any: a return.
    pub voluntary: bool,
}

/// Chooses among `candidates`: the best standing wins; within it the policy decides. An uplink that is up always finds
/// its use when there is none better, however bad it is.
pub(super) fn choose(policy: Policy, candidates: &[Candidate]) -> Choice {
    let best = candidates.iter().map(|one| one.standing).min().unwrap_or(Standing::Down);
    if best == Standing::Down {
        return Choice { carrying: Vec::new(), voluntary: false };
    }
    let among: Vec<usize> = (0..candidates.len()).filter(|at| candidates[*at].standing == best).collect();
    match policy {
        Policy::ActiveActive => all_that_work(&among, candidates, best),
        Policy::Failover => one(&among, candidates, best, |at| (false, candidates[at].priority, at)),
        Policy::LastResort => {
            one(&among, candidates, best, |at| (!candidates[at].is_wired, candidates[at].priority, at))
        }
    }
}

fn all_that_work(among: &[usize], candidates: &[Candidate], best: Standing) -> Choice {
    let stays = among.iter().any(|at| candidates[*at].carrying);
    let free = |at: &usize| candidates[*at].carrying || !candidates[*at].held;
    // Beyond `Spent` nothing is known to work: there, each that is up has its chance.
    let mut carrying: Vec<usize> =
        among.iter().copied().filter(|at| best > Standing::Spent || free(at)).collect();
    if carrying.is_empty() {
        carrying = among.to_vec();
    }
    let joined = carrying.iter().any(|at| !candidates[*at].carrying);
    Choice { voluntary: stays && joined && best <= Standing::Spent, carrying }
}

fn one<Rank: Ord>(
    among: &[usize],
    candidates: &[Candidate],
    best: Standing,
    rank: impl Fn(usize) -> Rank,
) -> Choice {
    let first = |held: bool, carrying: bool| {
        among
            .iter()
            .copied()
            .filter(|at| (held || !candidates[*at].held) && (!carrying || candidates[*at].carrying))
            .min_by_key(|at| rank(*at))
    };
    let current = first(true, true);
    let free = first(false, false);
    let (chosen, voluntary) = match (current, free) {
        // Between two that may not work, moving gains nothing.
        (Some(current), Some(free)) if best <= Standing::Spent && rank(free) < rank(current) => (free, true),
        (Some(current), _) => (current, false),
        (None, Some(free)) => (free, false),
        (None, None) => match first(true, false) {
            Some(held) => (held, false),
            None => return Choice { carrying: Vec::new(), voluntary: false },
        },
    };
    Choice { carrying: vec![chosen], voluntary }
}

#[cfg(test)]
mod tests {
    use super::Standing::{Dead, Down, Proving, Spent, Suspect, Working};
    use super::*;

    /// `c` carries, `h` is held, `w` is wired.
    fn candidate((standing, priority, marks): (Standing, u32, &str)) -> Candidate {
        let marked = |mark| marks.contains(mark);
        Candidate {
            standing,
            priority,
            is_wired: marked('w'),
            carrying: marked('c'),
            held: marked('h') && !marked('c'),
        }
    }

    #[test]
    fn each_policy_chooses_its_uplinks() {
        use Policy::{ActiveActive, Failover, LastResort};
        type Row<'a> = (Policy, &'a [(Standing, u32, &'a str)], &'a [usize], bool);
        let table: &[Row] = &[
            // all that work
            (ActiveActive, &[(Working, 300, ""), (Working, 500, "")], &[0, 1], false),
            (ActiveActive, &[(Working, 300, "c"), (Working, 500, "")], &[0, 1], true),
            (ActiveActive, &[(Working, 300, "c"), (Working, 500, "h")], &[0], false),
            (ActiveActive, &[(Working, 300, "c"), (Suspect, 500, "c")], &[0], false),
            (ActiveActive, &[(Working, 300, ""), (Spent, 500, "c")], &[0], false),
            (ActiveActive, &[(Spent, 300, "c"), (Spent, 500, "c")], &[0, 1], false),
            (ActiveActive, &[(Working, 300, "h"), (Down, 500, "c")], &[0], false),
            (ActiveActive, &[(Working, 300, "h"), (Dead, 500, "c")], &[0], false),
            (ActiveActive, &[(Dead, 300, "c"), (Dead, 500, "c")], &[0, 1], false),
            (ActiveActive, &[(Proving, 300, "h"), (Dead, 500, "c")], &[0], false),
            (ActiveActive, &[(Suspect, 300, ""), (Proving, 500, "")], &[0], false),
            (ActiveActive, &[(Down, 300, "c"), (Down, 500, "")], &[], false),
            (ActiveActive, &[], &[], false),
            // lowest priority that works
            (Failover, &[(Working, 500, ""), (Working, 300, "")], &[1], false),
            (Failover, &[(Working, 300, ""), (Working, 300, "")], &[0], false),
            (Failover, &[(Working, 300, ""), (Working, 500, "c")], &[0], true),
            (Failover, &[(Working, 300, "h"), (Working, 500, "c")], &[1], false),
            (Failover, &[(Working, 300, "h"), (Down, 500, "c")], &[0], false),
            (Failover, &[(Working, 300, "h"), (Working, 500, ""), (Down, 1, "c")], &[1], false),
            (Failover, &[(Spent, 300, "c"), (Working, 500, "")], &[1], false),
            (Failover, &[(Spent, 300, ""), (Suspect, 500, "c")], &[0], false),
            (Failover, &[(Dead, 300, ""), (Dead, 500, "c")], &[1], false),
            (Failover, &[(Dead, 300, "h"), (Dead, 500, "c")], &[1], false),
            // LTE only while no circuit works
            (LastResort, &[(Working, 1, "c"), (Working, 900, "w")], &[1], true),
            (LastResort, &[(Working, 1, "c"), (Working, 900, "wh")], &[0], false),
            (LastResort, &[(Working, 1, ""), (Suspect, 900, "wc")], &[0], false),
            (LastResort, &[(Working, 2, ""), (Working, 1, ""), (Down, 900, "w")], &[1], false),
            (LastResort, &[(Down, 1, ""), (Dead, 900, "wc")], &[1], false),
        ];
        for (policy, uplinks, carrying, voluntary) in table {
            let candidates: Vec<_> = uplinks.iter().copied().map(candidate).collect();
            let wanted = Choice { carrying: carrying.to_vec(), voluntary: *voluntary };
            assert_eq!(choose(*policy, &candidates), wanted, "{policy:?} {uplinks:?}");
        }
    }
}
