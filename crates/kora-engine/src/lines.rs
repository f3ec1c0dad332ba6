//! The lines of all connections of one worker.

use crate::line::{Line, Presence};

/// Names a line of one worker while its connection lives, and until everything it began is finished.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LineId(pub(crate) u32);

/// A slab of lines. A place is given to another connection only when nothing can arrive for the one before.
#[derive(Default)]
pub(crate) struct Lines {
    places: Vec<Option<Line>>,
    free: Vec<u32>,
}

impl Lines {
    pub(crate) fn add(&mut self, line: Line) -> LineId {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            u32::try_from(self.places.len() - 1).expect("maxclients is far below 2^32")
        });
        self.places[place as usize] = Some(line);
        LineId(place)
    }

    /// # Panics
    /// If the line was given up: nobody keeps a name of it then.
    pub(crate) fn line(&mut self, id: LineId) -> &mut Line {
        self.places[id.0 as usize]
            .as_mut()
            .expect("a line outlives whoever can name it")
    }

    pub(crate) fn find(&mut self, id: LineId) -> Option<&mut Line> {
        self.places.get_mut(id.0 as usize)?.as_mut()
    }

    /// Gives the place up, if its client has gone and nothing more can arrive for it.
    pub(crate) fn give_up_if_done(&mut self, id: LineId) {
        let line = self.line(id);
        if line.presence() == Presence::Gone && !line.is_waiting() {
            self.places[id.0 as usize] = None;
            self.free.push(id.0);
        }
    }

    /// Connections that are served, from a place on.
    pub(crate) fn served_from(&mut self, start: usize) -> impl Iterator<Item = (usize, &mut Line)> {
        let places = self.places.iter_mut().enumerate().skip(start);
        places
            .filter_map(|(place, line)| Some((place, line.as_mut()?)))
            .filter(|(_, line)| line.presence() != Presence::Gone)
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }
}
