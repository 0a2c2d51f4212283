import type { Readable } from 'node:stream'
import type { Spooled } from './file-spool.ts'

/** Where a bucket is. The names are those of the config. */
export interface S3Options {
  readonly bucket: string
  /** Put before every object's key. Default: nothing. */
  readonly prefix?: string
  /** URL of the service, where it is not AWS. */
  readonly endpoint?: string
  /** Default: that of the environment or the profile; with an endpoint `us-east-1`. */
  readonly region?: string
  readonly forcePathStyle?: boolean
}

/** What is known of an object without reading it. */
export interface S3Head {
  readonly bytes: number
  /** CRC-32 that it was put with, by whoever puts it there as we do; `null` otherwise. */
  readonly crc32: number | null
}

/**
 * The few calls to S3 that an archive needs; one implementation over the SDK. Errors are CommanderErrors that name bucket
 * and endpoint.
 */
export interface S3Calls {
  /** `taken`: refused, since there is an object. `unsupported`: the service does not know conditions. */
  put(key: string, content: Spooled, onlyIfAbsent: boolean): Promise<'created' | 'taken' | 'unsupported'>
  /** `null` when there is no such object. */
  head(key: string): Promise<S3Head | null>
  /** @throws CommanderError not_found */
  get(key: string): Promise<Readable>
  /** Keys, sorted as the service does, behind `after`. */
  list(prefix: string, after?: string): Promise<string[]>
  close(): void
}
