//! Taking one request to people by the notifiers of this gate: which carry which stage, and what came of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use tokio::task::{Id, JoinSet};

use crate::approval::{Request, RequestId};
use crate::call::Word;
use crate::desk::{Delivery, Desk};
use crate::notify::Notifier;

/// The deliveries of one request. Dropped, it drops those that still go on.
pub(super) struct Carrying {
    desk: Desk,
    request: RequestId,
    notifiers: Vec<Arc<dyn Notifier>>,
    tasks: JoinSet<()>,
    /// Of each delivery that goes on: the notifier's place, and what it confirmed.
    going: HashMap<Id, (usize, Arc<Delivery>)>,
    /// Of each group that is asked: the stage that its last cards were for, and what came of them.
    stages: BTreeMap<Word, Carried>,
}

/// What came of carrying one stage.
struct Carried {
    /// How many later stages were reached.
    reached: u8,
    /// The places of the notifiers that have not failed yet; `None` where this gate carries nothing of it.
    left: Option<BTreeSet<usize>>,
    /// Of those, the places that were busy with an earlier stage when this one was reached: they are called once that has
    /// ended, and what came of it says nothing of this stage.
    waiting: BTreeSet<usize>,
    shown: bool,
}

impl Carrying {
    pub(super) fn new(desk: Desk, request: RequestId, notifiers: Vec<Arc<dyn Notifier>>) -> Self {
        Self {
            desk,
            request,
            notifiers,
            tasks: JoinSet::new(),
            going: HashMap::new(),
            stages: BTreeMap::new(),
        }
    }

    /// Delivers what is reached and was not carried yet. A notifier that carries several stages at once is called once; one
    /// whose delivery still goes on is called again when that has ended; until then an update tells it of the stage.
    pub(super) fn reached(&mut self, request: &Request) {
        let mut places = BTreeSet::new();
        for (group, _) in request.wanted() {
            let stages = request.stages.iter().find(|stages| stages.group == group);
            let reached = stages.map_or(0, |stages| stages.reached);
            let carried = self.stages.get(&group).map(|carried| carried.reached);
            if carried.is_some_and(|carried| carried >= reached) {
                continue;
            }
            let current = stages.map_or(&[][..], |stages| stages.current().1);
            let current = self.named(current);
            places.extend(&current);
            // After a restart the earlier stages are asked too.
            for stage in stages.into_iter().filter(|_| carried.is_none() && reached > 0) {
                places.extend(self.named(&stage.notifiers));
                for earlier in stage.then.iter().take(usize::from(reached) - 1) {
                    places.extend(self.named(&earlier.notifiers));
                }
            }
            let carried = Carried {
                reached,
                waiting: current.intersection(&self.busy()).copied().collect(),
                left: (!current.is_empty()).then_some(current),
                shown: false,
            };
            self.stages.insert(group, carried);
        }
        for place in places.difference(&self.busy()) {
            self.call(*place, request, false);
        }
    }

    /// Reminds by every notifier that has carried it and is done with that.
    pub(super) fn remind(&mut self, request: &Request) {
        let mut places = BTreeSet::new();
        for (group, _) in request.wanted() {
            match request.stages.iter().find(|stages| stages.group == group) {
                None => places.extend(0..self.notifiers.len()),
                Some(stages) => {
                    places.extend(self.named(&stages.notifiers));
                    let reached = stages.then.iter().take(usize::from(stages.reached));
                    for stage in reached {
                        places.extend(self.named(&stage.notifiers));
                    }
                }
            }
        }
        for place in places.difference(&self.busy()) {
            self.call(*place, request, true);
        }
    }

    /// The group that is at a stage which none of its notifiers could show to anybody, and that stage.
    pub(super) fn undelivered(&self, request: &Request) -> Option<(Word, u8)> {
        request.stages.iter().find_map(|stages| {
            let carried = self.stages.get(&stages.group)?;
            let failed = carried.left.as_ref().is_some_and(BTreeSet::is_empty) && !carried.shown;
            let here = carried.reached == stages.reached && stages.next().is_some();
            (failed && here).then(|| (stages.group.clone(), stages.reached))
        })
    }

    /// Waits until a delivery has ended; false where none goes on. Whoever has carried an earlier stage until then is called for
    /// the one that `request` is at.
    pub(super) async fn ended(&mut self, request: &Request) -> bool {
        let Some(ended) = self.tasks.join_next_with_id().await else {
            return false;
        };
        let (id, panicked) = match ended {
            Ok((id, ())) => (id, false),
            Err(error) => (error.id(), true),
        };
        let Some((place, delivery)) = self.going.remove(&id) else {
            return true;
        };
        if panicked {
            let why = format!("{}: it panicked", delivery.notifier());
            self.desk.of_delivery(&delivery).not_delivered(self.request, &why);
        }
        let mut again = false;
        for carried in self.stages.values_mut() {
            if carried.waiting.remove(&place) {
                again = true;
                continue;
            }
            let Some(left) = &mut carried.left else { continue };
            if left.contains(&place) {
                carried.shown |= delivery.is_shown();
                left.remove(&place);
            }
        }
        if again {
            self.call(place, request, false);
        }
        true
    }

    /// The places of those whose delivery goes on.
    fn busy(&self) -> BTreeSet<usize> {
        self.going.values().map(|(place, _)| *place).collect()
    }

    /// The places of the notifiers of these names; all of them where there is no name.
    fn named(&self, names: &[Word]) -> BTreeSet<usize> {
        let wanted = |notifier: &Arc<dyn Notifier>| {
            names.is_empty() || names.iter().any(|name| name.as_str() == notifier.name())
        };
        let places = self.notifiers.iter().enumerate();
        places
            .filter(|(_, notifier)| wanted(notifier))
            .map(|(place, _)| place)
            .collect()
    }

    fn call(&mut self, place: usize, request: &Request, again: bool) {
        let Some(notifier) = self.notifiers.get(place) else {
            return;
        };
        let delivery = Delivery::new(notifier.name(), request.stage());
        let (notifier, desk, request) = (Arc::clone(notifier), self.desk.of_delivery(&delivery), request.clone());
        let task = self.tasks.spawn(async move {
            let delivered = match again {
                true => notifier.remind(&request, &desk).await,
                false => notifier.deliver(&request, &desk).await,
            };
            match delivered {
                Ok(()) => desk.shown(request.id).await,
                // A card that reaches nobody is one that nobody answers, and that is a no; somebody should learn why.
                Err(error) => desk.not_delivered(request.id, &error.to_string()),
            }
        });
        self.going.insert(task.id(), (place, delivery));
    }
}
