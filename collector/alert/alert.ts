// Alerts: evaluates the rules over the fleet in a fixed rhythm, remembers, and has the changes brought out.
import { alertRules } from '#shared/alert-rules.ts';
import type { AlertRule } from '#shared/alert-rules.ts';
import type { Clock } from '#shared/clock.ts';
import { describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import type { Database } from '#shared/sqlite.ts';
import type { AlertsConfig } from '../config.ts';
import type { AgentView } from '../fleet/agent-view.ts';
import { createEmailChannels } from './email.ts';
import { evaluate } from './evaluate.ts';
import type { AlertState } from './evaluate.ts';
import { titleOf } from './message.ts';
import { startNotifier } from './notify.ts';
import type { Channel, Notifier } from './notify.ts';
import { createPresence } from './present.ts';
import { rulesInForce } from './rules.ts';
import { createAlertStore } from './state.ts';
import { createTelegramChannels } from './telegram.ts';

export type ActiveAlert = {
  readonly id: string;
  readonly rule: string;
  readonly severity: AlertRule['severity'];
  readonly tenant: string;
  readonly agent: string;
  readonly title: string;
  /** What it means and what to do. */
  readonly text: string;
  /** Milliseconds since 1970. */
  readonly since: number;
};
export type Alert = {
  readonly start: () => void;
  readonly stop: () => Promise<void>;
  /** What fires now, the most severe first. */
  readonly active: () => readonly ActiveAlert[];
  /** Undefined when the rules are evaluated, else why not. A channel that is down is told in the log: it is not the collector's state. */
  readonly problem: () => string | undefined;
};

export function createAlert(options: {
  readonly config: AlertsConfig;
  readonly secrets: { readonly emailPassword?: string; readonly telegramToken?: string };
  readonly ca?: string;
  readonly db: Database;
  readonly fleet: { readonly views: () => readonly AgentView[] };
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  /** Address of the page. */
  readonly link: string;
}): Alert {
  const { config, db, fleet, clock, random, log, link } = options;
  const rules = rulesInForce(config);
  const store = createAlertStore(db);
  const channels = createChannels(options);
  const names = channels.map(({ name }) => name);
  const presence = createPresence({ clock });
  let states: readonly AlertState[] = [];
  let startedAt = 0;
  let evaluatedAt: number | undefined;
  let timer: NodeJS.Timeout | undefined;
  let notifier: Notifier | undefined;
  let failure: string | undefined;

  function step(): void {
    const now = clock.monotonic();
    try {
      const views = fleet.views();
      const result = evaluate({
        states,
        views,
        rules,
        isPresent: presence.look(views),
        elapsedMs: evaluatedAt === undefined ? 0 : now - evaluatedAt,
        runningMs: now - startedAt,
        now: clock.now(),
      });
      store.save(result, names);
      states = result.states;
      for (const { kind, alert } of result.transitions)
        log.info({ rule: alert.rule, tenant: alert.tenant, agent: alert.agent, kind }, 'alert');
      if (result.transitions.length > 0) notifier?.wake();
      failure = undefined;
    } catch (error) {
      if (failure === undefined) log.error({ error: describe(error) }, 'alerts could not be evaluated');
      failure = describe(error);
    }
    evaluatedAt = now;
  }

  return {
    start() {
      startedAt = clock.monotonic();
      states = store.states();
      store.retire(names, clock.now());
      step();
      // With the words of all rules: what was raised by a rule that is now switched off is still told, and its end too.
      notifier = startNotifier({ store, channels, rules: alertRules, link, clock, random, log });
      timer = setInterval(step, config.evaluateSeconds * 1_000);
    },
    async stop() {
      clearInterval(timer);
      await notifier?.stop();
    },
    active: () => activeOf(states, rules),
    problem: () => failure,
  };
}

function createChannels(options: {
  readonly config: AlertsConfig;
  readonly secrets: { readonly emailPassword?: string; readonly telegramToken?: string };
  readonly ca?: string;
}): readonly Channel[] {
  const { email, telegram } = options.config;
  const { emailPassword, telegramToken } = options.secrets;
  const byEmail =
    email === undefined
      ? []
      : createEmailChannels({
          config: email,
          ...(emailPassword === undefined ? {} : { password: emailPassword }),
          ...(options.ca === undefined ? {} : { ca: options.ca }),
        });
  const byTelegram =
    telegram === undefined || telegramToken === undefined
      ? []
      : createTelegramChannels({ config: telegram, token: telegramToken });
  return [...byEmail, ...byTelegram];
}

const order: Readonly<Record<AlertRule['severity'], number>> = { critical: 0, warning: 1, info: 2 };

function activeOf(states: readonly AlertState[], rules: readonly AlertRule[]): readonly ActiveAlert[] {
  return states
    .flatMap((state) => {
      const rule = rules.find(({ id }) => id === state.rule);
      if (rule === undefined || state.phase !== 'firing') return [];
      const text = [rule.meaning, ...(state.detail === '' ? [] : ['Reason: ' + state.detail]), rule.remedy].join(' ');
      return [
        {
          id: state.key,
          rule: rule.id,
          severity: rule.severity,
          tenant: state.tenant,
          agent: state.agent,
          title: titleOf(rule, state),
          text,
          since: state.since,
        },
      ];
    })
    .sort((a, b) => order[a.severity] - order[b.severity] || a.since - b.since);
}
