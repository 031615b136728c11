//! How flame behaves: exit statuses, signals, files and their owners, privileges, bad input.

mod death;
mod doctor;
mod hostile;
mod owners;
mod privileges;
mod record;
mod scarce;
mod signals;
