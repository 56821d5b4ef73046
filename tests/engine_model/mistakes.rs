// Mistakes that the model check must find, each a change of one place of the engine's source.

use libvision_model_check::Mistake;

const MISTAKES: &[Mistake] = &[
    Mistake {
        what: "lost wake-up: a bell rung while nobody sleeps is forgotten",
        file: "clock.rs",
        right: "        if !*is_rung {",
        wrong: "        if true {",
        symptom: "deadlock",
    },
    Mistake {
        what: "lost wake-up: a bell wakes without saying that it was rung",
        file: "clock.rs",
        right: "        self.rung.notify_one();\n",
        wrong: "",
        symptom: "deadlock",
    },
    Mistake {
        what: "lost wake-up: who waits for an answer is not told of it",
        file: "completion.rs",
        right: "                self.answer.ready.notify_all();\n",
        wrong: "",
        symptom: "deadlock",
    },
    Mistake {
        what: "a lost callback: one that comes after the answer is kept for the next",
        file: "completion.rs",
        right: "            State::Ready(answer) => {\n                drop(state);\n                callback(answer);\n            }\n",
        wrong: "",
        symptom: "called once",
    },
    Mistake {
        what: "a lost request: dropped without an answer it stays open",
        file: "completion.rs",
        right: "        if matches!(*self.answer.state.lock(), State::Open | State::Callback(_)) {",
        wrong: "        if false {",
        symptom: "deadlock",
    },
    Mistake {
        what: "lost wake-up: answers are left and nobody is told",
        file: "scheduler.rs",
        right: "        if is_left {\n            self.bell.ring();\n        }\n",
        wrong: "",
        symptom: "deadlock",
    },
    Mistake {
        what: "lost answers: those that were left are not given",
        file: "scheduler.rs",
        right: "                aftermath.answers.append(&mut state.left);\n",
        wrong: "                state.left.clear();\n",
        symptom: "expected an answer",
    },
    Mistake {
        what: "lost wake-up: the thread that lets time pass sleeps through the end",
        file: "scheduler.rs",
        right: "            self.drained.notify_all();\n            self.bell.ring();\n",
        wrong: "            self.drained.notify_all();\n",
        symptom: "deadlock",
    },
    Mistake {
        what: "lost wake-up: who closes is not told of the end",
        file: "scheduler.rs",
        right: "            self.drained.notify_all();\n",
        wrong: "",
        symptom: "deadlock",
    },
    Mistake {
        what: "a look without the lock: the end may come between look and sleep",
        file: "scheduler.rs",
        right: "        while state.channels.is_some() {\n            self.drained.wait(&mut state);",
        wrong: "        while state.channels.is_some() {\n            drop(state);\n            state = self.state.lock();\n            self.drained.wait(&mut state);",
        symptom: "deadlock",
    },
    Mistake {
        what: "a lost slot: a caller does not write what it was given to write",
        file: "scheduler.rs",
        right: "                            true => aftermath.fill = Some(fill),",
        wrong: "                            true => drop(fill),",
        symptom: "deadlock",
    },
    Mistake {
        what: "two answers: what is open is looked up and stays",
        file: "scheduler.rs",
        right: "state.answers.remove(&id).unwrap_or_else(lost)",
        wrong: "lost()",
        symptom: "expected an answer",
    },
];
