import type {
  ApplicationConfig,
  Config,
  JournalConfig,
  LimitsConfig,
  ProcessResources,
  S3ArchiveConfig,
  TokenConfig,
} from './config.ts'
import type { ResolvedReplication } from './replication-config.ts'

/** Unset resources are absent. */
export type ResolvedResources = Omit<ProcessResources, 'restart' | 'shutdownMs'> & {
  readonly restart: Required<NonNullable<ProcessResources['restart']>>
  readonly shutdownMs: number
}

export interface ResolvedApplication extends Required<Omit<ApplicationConfig, 'resources'>> {
  readonly resources: ResolvedResources
}

export type ProcessRole = keyof NonNullable<Config['processes']>

/** A config with every default filled in and every path absolute. JSON values only: it crosses process boundaries. */
export interface ResolvedConfig {
  readonly dataDir: string
  readonly http: false | { readonly host: string; readonly port: number }
  readonly applications: readonly ResolvedApplication[]
  readonly journal: Required<JournalConfig>
  readonly processes: Readonly<Record<ProcessRole, ResolvedResources>>
  readonly limits: Required<LimitsConfig>
  readonly archive: null | { readonly directory: string } | { readonly s3: S3ArchiveConfig }
  readonly replication: ResolvedReplication
  readonly security: { readonly tokens: readonly TokenConfig[] }
}

export type Origin =
  | { readonly kind: 'flag'; readonly name: string }
  | { readonly kind: 'variable'; readonly name: string }
  | { readonly kind: 'file'; readonly name: string }
  | { readonly kind: 'default' }

/** One value of a resolved config, for `commanderdb config`. */
export interface ExplainedValue {
  /** For example `journal.segmentBytes` or `applications[0].module`. */
  readonly key: string
  /** `null` where nothing is set. */
  readonly value: unknown
  readonly origin: Origin
  readonly help: string
  readonly unit?: string
  readonly variable?: string
  readonly flag?: string
}
