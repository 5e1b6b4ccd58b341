// What the web room looks at. It only reads: nothing here changes mail, agents or alerts.
import type { ActiveAlert } from '../alert/alert.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { Store } from '../store/store.ts';

export type FleetSource = Pick<Fleet, 'views' | 'view' | 'onChange'>;
export type StoreSource = Pick<Store, 'query'>;
export type ShownAlert = Pick<ActiveAlert, 'id' | 'severity' | 'tenant' | 'agent' | 'title' | 'since' | 'text'>;
export type AlertSource = { readonly active: () => readonly ShownAlert[] };
/** Every part of the collector, with its problem or undefined when it is well. */
export type HealthSource = () => Readonly<Record<string, string | undefined>>;

export type Sources = {
  readonly fleet: FleetSource;
  readonly store: StoreSource;
  readonly alert: AlertSource;
  readonly health: HealthSource;
};
