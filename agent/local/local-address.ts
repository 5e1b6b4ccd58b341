// Rule of safety 5: mail is injected only to recipients that are known as local.

export function isLocalAddress(local: { readonly domains: readonly string[] }, address: string): boolean {
  const domain = address.slice(address.lastIndexOf('@') + 1).toLowerCase();
  return local.domains.some((known) => known.toLowerCase() === domain);
}
