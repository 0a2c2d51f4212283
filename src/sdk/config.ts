import type { ReplicationConfig } from './replication-config.ts'

/** What the operating system and the supervisor grant one process. What is left out stays as the host has it. */
export interface ProcessResources {
  /** Scheduling priority, -20 (first) to 19 (last). Below 0 needs the privilege. */
  readonly nice?: number
  /** Numbers of the CPUs that the process may run on. Linux only. */
  readonly cpus?: readonly number[]
  /** V8's old generation, in MiB, 32 or more: Node's `--max-old-space-size`. */
  readonly maxOldSpaceMb?: number
  /** One semi-space of V8's young generation, in MiB, 1 to 1024: Node's `--max-semi-space-size`. */
  readonly maxSemiSpaceMb?: number
  /** Threads for file and name look-up work, 1 to 1024: `UV_THREADPOOL_SIZE`. */
  readonly uvThreadpoolSize?: number
  /** Resident memory, in MiB, 64 or more; above it the process is stopped gracefully and started again. */
  readonly maxRssMb?: number
  /** Further environment variables. */
  readonly env?: Readonly<Record<string, string>>
  /** Further command-line options of Node, one an item. */
  readonly nodeOptions?: readonly string[]
  /** When the supervisor gives up on a process, after Erlang/OTP: more than `maxRestarts` within `periodMs`. */
  readonly restart?: {
    /** 0 to 1000. Default 10. */
    readonly maxRestarts?: number
    /** 1,000 to 86,400,000. Default 60,000. */
    readonly periodMs?: number
    /** Before the first restart, 0 to 60,000; doubles with each one. Default 100. */
    readonly initialDelayMs?: number
    /** The longest delay, 0 to 3,600,000. Default 10,000. */
    readonly maxDelayMs?: number
  }
  /** From the request to stop to SIGKILL, 0 to 600,000. Default 10,000. */
  readonly shutdownMs?: number
}

export interface ApplicationConfig {
  /** Path of the application module, TypeScript or JavaScript; relative to the config file. */
  readonly module: string
  /** Processes that share the application's aggregates, 1 to 64. Default 1. */
  readonly instances?: number
  readonly resources?: ProcessResources
}

/** Named after PostgreSQL's settings and meaning what they do; see https://www.postgresql.org/docs/current/runtime-config-wal.html. */
export interface JournalConfig {
  /** `wal_segment_size`: bytes of one segment file, a multiple of 4096, 1 MiB to 1 GiB. Default 64 MiB. */
  readonly segmentBytes?: number
  /** `wal_init_zero`: fill new segments with zeros, so that a flush need not write file metadata. Default true. */
  readonly initZero?: boolean
  /** `wal_recycle`: make new segments out of stale ones. Default true. */
  readonly recycle?: boolean
  /** `wal_writer_delay`: written entries that nobody waits for are flushed this often, 1 to 10,000 ms. Default 200. */
  readonly writerDelayMs?: number
  /** `wal_writer_flush_after`: and as soon as so many bytes are written and not flushed, 0 to 2^31 - 1. Default 1 MiB. */
  readonly flushAfterBytes?: number
  /** `commit_delay`: wait so long before a flush for others to join it, 0 to 100,000 µs. Default 0. */
  readonly commitDelayMicros?: number
  /** `checkpoint_timeout`: longest time between checkpoints, 1,000 to 86,400,000 ms. Default 300,000. */
  readonly checkpointTimeoutMs?: number
  /**
   * `max_wal_size`, but hard: the journal takes at most this and one segment. Checkpoints come in time; when they, or the
   * archive, cannot keep up, commands are refused with `journal_full`. 2 segments or more. Default 1 GiB.
   */
  readonly maxJournalBytes?: number
  /** `checkpoint_completion_target`: share of the time between checkpoints to spread one over, 0 to 1. Default 0.9. */
  readonly checkpointCompletionTarget?: number
  /**
   * Time between two comparisons of the processes' states, 0 to 86,400,000 ms; 0 turns them off. They are compared only after
   * something was written. The same for all nodes of a cluster, or these are seldom compared with each other. Default 10,000.
   */
  readonly attestIntervalMs?: number
  /**
   * `synchronous_commit`: what an answer waits for where the command does not say. `flushed`: it survives a power
   * failure. `written`: it survives a crash of the database only, and the answer says so. Default `flushed`.
   */
  readonly durability?: 'flushed' | 'written'
}

/** Over a limit, callers get a retryable `overloaded` (or `payload_too_large`) before memory grows. */
export interface LimitsConfig {
  /** Data of one command, 1,024 to 4,194,304 bytes. Default 1 MiB. */
  readonly payloadBytes?: number
  /** Commands received and not yet ended, 1 to 1,000,000. Default 20,000. */
  readonly pendingCommands?: number
  /** The same for one aggregate, 1 to 1,000,000. Default 5,000. */
  readonly pendingPerAggregate?: number
  /** Bytes of commands received and not yet ended, 1 MiB to 4 GiB. Default 64 MiB. */
  readonly pendingBytes?: number
  /**
   * An application instance that ends none of its commands for so long is deregistered, and they are given to others,
   * 1,000 to 3,600,000 ms. Default 30,000.
   */
  readonly applicationSilenceMs?: number
}

/** An S3 bucket, or one of a service that speaks its protocol. Credentials come from the environment, as AWS's tools find them. */
export interface S3ArchiveConfig {
  readonly bucket: string
  /** Put before every object's key. Default none. */
  readonly prefix?: string
  /** URL of the service, where it is not AWS. */
  readonly endpoint?: string
  readonly region?: string
  /** `endpoint/bucket/key` instead of `bucket.endpoint/key`. Default false. */
  readonly forcePathStyle?: boolean
}

export type Scope = 'send' | 'read' | 'operate' | 'admin'

export interface TokenConfig {
  /** Who the token belongs to; shown in logs. */
  readonly name: string
  /** SHA-256 of the token, 64 hexadecimal digits, so that the config holds no secret. */
  readonly sha256: string
  readonly scopes: readonly Scope[]
}

/** The whole of `commanderdb.config.ts`. Every key may also be given as a flag or a `COMMANDERDB_…` variable, which win over it. */
export interface Config {
  /** Directory of the database; relative to the config file. Default `./data`, in the working directory. */
  readonly dataDir?: string
  /** `false`, or port `false`: no HTTP. Default 127.0.0.1, port 7400. */
  readonly http?:
    | false
    | {
        /** Name or address to listen on. Default 127.0.0.1: this host only. */
        readonly host?: string
        /** 0 to 65,535; 0 takes any free one. Default 7400. */
        readonly port?: number | false
      }
  readonly applications?: readonly ApplicationConfig[]
  readonly journal?: JournalConfig
  readonly processes?: {
    readonly journalWriter?: ProcessResources
    readonly dispatcher?: ProcessResources
    readonly projectionApplier?: ProcessResources
    readonly gateway?: ProcessResources
    /** Each journal server of this host. */
    readonly journalServer?: ProcessResources
    readonly journalMaster?: ProcessResources
  }
  readonly limits?: LimitsConfig
  /** Where sealed segments of the journal are archived. Default: nowhere. */
  readonly archive?: { readonly directory: string } | { readonly s3: S3ArchiveConfig }
  readonly replication?: ReplicationConfig
  /** Without tokens, whoever reaches the HTTP port may do everything. */
  readonly security?: { readonly tokens?: readonly TokenConfig[] }
}

/**
 * The default export of `commanderdb.config.ts`. Returns its argument: it is there for the types, and the values are
 * checked when the database starts.
 *
 * @example
 * export default defineConfig({ applications: [{ module: './bank.ts' }], http: { port: 7400 } })
 */
export function defineConfig(config: Config): Config {
  return config
}
