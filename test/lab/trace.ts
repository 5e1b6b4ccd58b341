// What `strace -f -y` wrote: the system calls of all threads of a process, in their order.

/** One system call; `begin` and `end` are line numbers of the trace, as threads interleave. */
export type Call = { readonly name: string; readonly text: string; readonly begin: number; readonly end: number };

export function readTrace(trace: string): readonly Call[] {
  const open = new Map<string, { readonly name: string; readonly text: string; readonly begin: number }>();
  const calls: Call[] = [];
  for (const [line, full] of trace.split('\n').entries()) {
    const [, thread = '', text = ''] = /^(\d+) +(.*)$/.exec(full) ?? [];
    const resumed = /^<\.\.\. (\w+) resumed>(.*)$/.exec(text);
    const name = resumed?.[1] ?? /^(\w+)\(/.exec(text)?.[1];
    if (name === undefined) continue;
    if (text.endsWith('<unfinished ...>')) open.set(thread, { name, text, begin: line });
    else if (resumed === null) calls.push({ name, text, begin: line, end: line });
    else {
      const started = open.get(thread);
      if (started !== undefined) calls.push({ ...started, text: started.text + text, end: line });
      open.delete(thread);
    }
  }
  return calls;
}
