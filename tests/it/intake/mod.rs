//! Taking entries in: schedule, fairness, failures, alarms, backlogs and crashes. Paused time, a
//! scripted registry and a store in memory.

mod backlog;
mod deciding;
mod discovery;
mod failing;
mod fairness;
mod quiet;
mod refused;
mod scene;
mod schedule;
