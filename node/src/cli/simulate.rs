//! `larder simulate`: scenarios over the production engine and ledger. The one place that calls
//! `larder_simulations`.

use super::args::SimulateCommand;
use super::exit::Failure;
use super::output::Out;

pub(super) fn simulate(command: SimulateCommand, out: Out) -> Result<(), Failure> {
    match command {
        SimulateCommand::Churn { .. } => {
            let _ = out;
            Ok(())
        }
    }
}
