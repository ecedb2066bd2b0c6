//! One name for everything that one input brings about.

/// Gives all outputs of one input the same id: that of the input where it has one, else one of its own.
#[derive(Debug)]
pub(super) struct Correlation {
    prefix: String,
    given: u64,
    current: Option<String>,
}

impl Correlation {
    /// Ids of its own begin with `prefix`; each gets a number behind it.
    pub fn new(prefix: String) -> Self {
        Self { prefix, given: 0, current: None }
    }

    /// An input comes in, with the id of what brought it about where there is one.
    pub fn begin(&mut self, of_input: Option<String>) {
        self.current = of_input;
    }

    /// The id of the input that came in last.
    pub fn id(&mut self) -> String {
        let (prefix, given) = (&self.prefix, &mut self.given);
        let own = || {
            *given += 1;
            format!("{prefix}-{given}")
        };
        self.current.get_or_insert_with(own).clone()
    }
}
