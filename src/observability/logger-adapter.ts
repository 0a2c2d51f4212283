import { type DestinationStream, destination, type Logger as PinoLogger, pino, stdTimeFunctions } from 'pino'
import type { Log, LogFields } from '../kernel/environment.ts'
import { isCommanderError } from '../kernel/errors.ts'

/** The owner file of pino. One JSON object a line; `process`, `role` and, where known, `lsn` are on every line. */
export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

export interface Logger extends Log {
  /** The last words of a process: the supervisor shows their error as the reason of the exit. */
  fatal(fields: LogFields, message: string): void
  child(fields: LogFields): Logger
}

export interface LoggerOptions {
  readonly process: string
  readonly role: string
  /** Default: 'info'. */
  readonly level?: LogLevel
  /** Read for every line, so that a line says how far its process was. */
  readonly lsn?: () => number
  /** Where the lines go. Default: standard output, synchronously, so that no last line is lost. */
  readonly output?: DestinationStream
}

export function createLogger(options: LoggerOptions): Logger {
  const { lsn } = options
  const logger = pino(
    {
      level: options.level ?? 'info',
      base: { process: options.process, role: options.role },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: serializeError },
      ...(lsn === undefined ? {} : { mixin: () => ({ lsn: lsn() }) }),
    },
    options.output ?? destination({ fd: 1, sync: true }),
  )
  return wrap(logger)
}

function wrap(logger: PinoLogger): Logger {
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
    fatal: (fields, message) => logger.fatal(fields, message),
    child: (fields) => wrap(logger.child({ ...fields })),
  }
}

/** Errors lose everything in JSON.stringify; keeps what a person needs, causes included. */
function serializeError(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return error
  return {
    name: error.name,
    message: error.message,
    ...(isCommanderError(error) ? { code: error.code, details: error.details } : codeOf(error)),
    stack: error.stack,
    ...(error.cause === undefined || depth === 4 ? {} : { cause: serializeError(error.cause, depth + 1) }),
  }
}

function codeOf(error: Error): { readonly code?: unknown } {
  return 'code' in error ? { code: error.code } : {}
}
