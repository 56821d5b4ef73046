// Mistakes that the model check must find, each a change of one place of the pool's source.

use libvision_model_check::Mistake;

const MISTAKES: &[Mistake] = &[
    Mistake {
        what: "lost wake-up: sleeps without another look",
        file: "board.rs",
        right: "let found = ready();",
        wrong: "let found = None;",
        symptom: "deadlock",
    },
    Mistake {
        what: "lost wake-up: counts itself as a sleeper before it can be woken",
        file: "board.rs",
        right: "            self.asleep.store(place, Relaxed);\n            board.add_sleeper();\n",
        wrong: "            board.add_sleeper();\n            self.asleep.store(place, Relaxed);\n",
        symptom: "deadlock",
    },
    Mistake {
        what: "lost wake-up: nobody is woken when a crew closes",
        file: "mod.rs",
        right: "self.wake(crew, usize::MAX);",
        wrong: "",
        symptom: "deadlock",
    },
    Mistake {
        what: "lost wake-up: the caller marks itself asleep without its lock",
        file: "crew.rs",
        right: "        let mut caller = lock(&ending.caller);\n        let mut unfinished = ending.unfinished.fetch_or(CALLER_SLEEPS, AcqRel);\n",
        wrong: "        let mut unfinished = ending.unfinished.fetch_or(CALLER_SLEEPS, AcqRel);\n        let mut caller = lock(&ending.caller);\n",
        symptom: "deadlock",
    },
    Mistake {
        what: "lost wake-up: a worker joins a crew before it is known to those who wake",
        file: "mod.rs",
        right: "        self.spawned.fetch_max(index + 1, AcqRel);\n        loop {",
        wrong: "        loop {",
        symptom: "deadlock",
    },
    Mistake {
        what: "wrong ordering: invitations are posted without the loop",
        file: "board.rs",
        right: "self.0.fetch_add(news, AcqRel) >= SLEEPER",
        wrong: "self.0.fetch_add(news, Relaxed) >= SLEEPER",
        symptom: "Causality violation",
    },
    Mistake {
        what: "wrong ordering: an invitation is taken without the loop",
        file: "board.rs",
        right: "fetch_update(AcqRel, Relaxed, less)",
        wrong: "fetch_update(Relaxed, Relaxed, less)",
        symptom: "Causality violation",
    },
    Mistake {
        what: "wrong ordering: an invitation's end does not publish what was done",
        file: "crew.rs",
        right: "unfinished.fetch_sub(UNFINISHED, AcqRel)",
        wrong: "unfinished.fetch_sub(UNFINISHED, Relaxed)",
        symptom: "Causality violation",
    },
    Mistake {
        what: "wrong ordering: the caller goes on without what the tasks did",
        file: "crew.rs",
        right: "unfinished.load(Acquire) < UNFINISHED",
        wrong: "unfinished.load(Relaxed) < UNFINISHED",
        symptom: "Causality violation",
    },
    Mistake {
        what: "early return: the caller waits until invitations are taken, not until they have ended",
        file: "crew.rs",
        right: "(ending.unfinished.load(Acquire) < UNFINISHED)",
        wrong: "(self.board.news() == 0)",
        symptom: "Causality violation",
    },
    Mistake {
        what: "early return: nobody takes the share of a worker that does not come",
        file: "shares.rs",
        right: "(own..self.count).chain(0..own)",
        wrong: "own..own + 1",
        symptom: "each task ran once",
    },
    Mistake {
        what: "a task taken twice: two threads look at a share before either takes from it",
        file: "shares.rs",
        right: "let index = next.fetch_add(1, Relaxed);",
        wrong: "let index = next.load(Relaxed);\n                next.store(index + 1, Relaxed);",
        symptom: "Causality violation",
    },
    Mistake {
        what: "two threads of one number: a crew is free before its workers have left",
        file: "crew.rs",
        right: "self.state.fetch_and(JOINED, AcqRel);",
        wrong: "self.state.store(0, Release);",
        symptom: "deadlock",
    },
    Mistake {
        what: "a lost seat: a worker keeps it while it sleeps",
        file: "mod.rs",
        right: "drop(seat.take());",
        wrong: "std::mem::forget(seat.take());",
        symptom: "all seats are free again",
    },
];
