// For pages that call millrace before the script, which is loaded asynchronously, is there: calls wait in an array.
((calls: any) => {
  for (const method of ["track", "identify", "logout", "consent"]) calls[method] = (...given: unknown[]) => calls.push([method, ...given]);
})(((window as any).millrace ||= []));
