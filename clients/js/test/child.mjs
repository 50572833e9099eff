/** Programs that tests start. */

/** Ends a program when the tests end, however they do. @param {import('node:child_process').ChildProcess} child */
export function endsWithUs(child) {
  const end = () => child.kill('SIGKILL');
  process.once('exit', end);
  child.once('exit', () => process.off('exit', end));
}
