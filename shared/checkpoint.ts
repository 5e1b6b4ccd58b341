// Named places where a crash would matter. The programs call `reached(name)` there; it does nothing unless a fault test
// starts the program with a hook that counts the visit and ends the process.

export const checkpoints = [
  'receive.before-handover', // the whole mail is read, the local server has not seen it
  'receive.after-handover', // the local server answered 250, nothing is recorded
  'receive.recorded', // the ledger has it, no DELE yet
  'receive.deleted', // DELE was answered, no QUIT yet
  'receive.quit', // QUIT was answered, "gone" is not recorded
  'send.written', // the temporary file has the whole mail, no fsync, no name in the queue
  'send.renamed', // the file has its name in the queue, the index does not know it
  'send.accepted', // the index knows it, the client has not got its 250
  'send.before-dot', // "about to send the final dot" is on disk
  'send.after-dot', // the relay answered, nothing is recorded
  'send.recorded', // the outcome is recorded, the file is still there
] as const;
export type Checkpoint = (typeof checkpoints)[number];
export type Reached = (checkpoint: Checkpoint) => void;

export const neverCrash: Reached = () => {};
