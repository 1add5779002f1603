//! The audit log under hostile hands: bytes changed, processes killed, disks full, many writers.

#[cfg(test)]
mod crash;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tamper;
#[cfg(test)]
mod write;
