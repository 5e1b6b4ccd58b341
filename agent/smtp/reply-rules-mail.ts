// What concerns one mail, or one of its recipients.
import type { ReplyRule } from './reply-rules.ts';

export const mailRules: readonly ReplyRule[] = [];
