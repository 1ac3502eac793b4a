//! The correction: at most one more entry, for CRMs whose entries cannot be changed.

use super::kind::{Sent, Turn, Work};
use crate::domain::write_back::KindState;

impl Work<'_> {
    pub(super) async fn correct(&mut self, state: &mut KindState) -> Turn {
        let kind = self.kind;
        if let Some(find) = &kind.correction_find
            && state.unclear
        {
            match self.find(state, find, "find_correction").await {
                Ok(found) if found.contains_key("id") => return self.corrected(state),
                Ok(_) => {}
                Err(turn) => return turn,
            }
        }
        state.unclear = false;
        for step in &kind.correction {
            match self.step(state, step).await {
                None => {}
                Some(Sent::Ok(stored)) => match self.stored(state, step, stored) {
                    Ok(false) => {}
                    Ok(true) => break,
                    Err(turn) => return turn,
                },
                // It may stand there already, and nothing tells: once at most.
                Some(Sent::Not(Turn::Again { .. })) if state.unclear && !kind.tells_corrections() => break,
                Some(Sent::Not(turn)) => return turn,
                Some(Sent::Gone(sentence)) => return Turn::GiveUp { sentence },
            }
        }
        self.corrected(state)
    }

    fn corrected(&self, state: &mut KindState) -> Turn {
        state.unclear = false;
        state.corrected = true;
        state.version = Some(self.version);
        Turn::Done
    }
}
