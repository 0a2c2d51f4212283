import { type DispatcherOptions, defaultDispatcherOptions } from '../dispatcher/options.ts'
import type { ResolvedConfig } from '../sdk/resolved-config.ts'

/** Of a silence, a quarter may pass more before it is seen. */
const sweepsInSilence = 4

export function dispatcherSettingsOf({ limits }: Pick<ResolvedConfig, 'limits'>): Partial<DispatcherOptions> {
  const { applicationSilenceMs: silenceMs } = limits
  return { silenceMs, sweepMs: Math.min(defaultDispatcherOptions.sweepMs, silenceMs / sweepsInSilence) }
}
