// How a login proves who it is.

export const authChoices = ['auto', 'user-pass', 'apop', 'plain', 'login', 'xoauth2'] as const;
export type AuthChoice = (typeof authChoices)[number];
export type AuthMethod = Exclude<AuthChoice, 'auto'>;
