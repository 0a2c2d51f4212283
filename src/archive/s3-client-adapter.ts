import type { Readable } from 'node:stream'
import {
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { CommanderError } from '../kernel/errors.ts'
import type { Spooled } from './file-spool.ts'
import type { S3Calls, S3Head, S3Options } from './s3-calls.ts'
import { type S3Place, s3Error, statusOf } from './s3-errors.ts'

const checksumName = 'commanderdb-crc32'
const connectTimeoutMs = 10_000
/** Without a byte in either direction. */
const silenceTimeoutMs = 60_000
const attemptsMax = 3

const nothing = (): void => {}
/** What it has to say comes as errors. */
const silent = { trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing }

/** The calls over the SDK, with its usual chain for credentials. Loaded only where an archive is in S3. */
export class S3ClientCalls implements S3Calls {
  readonly #client: S3Client
  readonly #place: S3Place
  readonly #closing = new AbortController()

  constructor(options: S3Options, location: string) {
    const { bucket, endpoint = '', forcePathStyle } = options
    this.#place = { location, bucket, endpoint }
    const region = options.region ?? (endpoint === '' ? undefined : (process.env['AWS_REGION'] ?? 'us-east-1'))
    this.#client = new S3Client({
      ...(region === undefined ? {} : { region }),
      ...(endpoint === '' ? {} : { endpoint }),
      ...(forcePathStyle === undefined ? {} : { forcePathStyle }),
      maxAttempts: attemptsMax,
      logger: silent,
      // Our own checksum goes with every object; others than AWS do not know the SDK's trailers.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      requestHandler: { connectionTimeout: connectTimeoutMs, socketTimeout: silenceTimeoutMs },
    })
  }

  async put(key: string, content: Spooled, onlyIfAbsent: boolean): Promise<'created' | 'taken' | 'unsupported'> {
    const sum = Buffer.alloc(4)
    sum.writeUInt32BE(content.crc32)
    const body = content.bytes === 0 ? Buffer.alloc(0) : content.read()
    const command = new PutObjectCommand({
      Bucket: this.#place.bucket,
      Key: key,
      Body: body,
      ContentLength: content.bytes,
      ChecksumCRC32: sum.toString('base64'),
      Metadata: { [checksumName]: String(content.crc32) },
      ...(onlyIfAbsent ? { IfNoneMatch: '*' } : {}),
    })
    try {
      await this.#send(`put ${key}`, () => this.#client.send(command, this.#abort))
      return 'created'
    } catch (error) {
      const status = statusOf((error as CommanderError).cause)
      if (onlyIfAbsent && status === 412) return 'taken'
      if (onlyIfAbsent && status === 501) return 'unsupported'
      throw error
    } finally {
      if ('destroy' in body) body.destroy()
    }
  }

  async head(key: string): Promise<S3Head | null> {
    try {
      const command = new HeadObjectCommand({ Bucket: this.#place.bucket, Key: key })
      const found = await this.#send(`look up ${key}`, () => this.#client.send(command, this.#abort))
      const sum = found.Metadata?.[checksumName]
      return { bytes: found.ContentLength ?? 0, crc32: sum === undefined ? null : Number(sum) }
    } catch (error) {
      const { name } = (error as CommanderError).cause as Error
      if (name === 'NotFound' || name === 'NoSuchKey') return null
      throw error
    }
  }

  async get(key: string): Promise<Readable> {
    try {
      const command = new GetObjectCommand({ Bucket: this.#place.bucket, Key: key })
      const { Body } = await this.#send(`get ${key}`, () => this.#client.send(command, this.#abort))
      if (Body !== undefined) return Body as Readable
      throw s3Error(this.#place, `get ${key}`, new Error('the answer has no body'))
    } catch (error) {
      if (((error as CommanderError).cause as Error).name !== 'NoSuchKey') throw error
      throw this.#notFound(key, error)
    }
  }

  async list(prefix: string, after?: string): Promise<string[]> {
    const keys: string[] = []
    for (let token: string | undefined, isFirst = true; isFirst || token !== undefined; isFirst = false) {
      const start = after === undefined ? {} : { StartAfter: after }
      const from = token === undefined ? start : { ContinuationToken: token }
      const command = new ListObjectsV2Command({ Bucket: this.#place.bucket, Prefix: prefix, ...from })
      const page = await this.#send('list', () => this.#client.send(command, this.#abort))
      if (page.Name === undefined && page.IsTruncated === undefined) throw this.#noS3()
      for (const { Key } of page.Contents ?? []) if (Key !== undefined) keys.push(Key)
      token = page.IsTruncated === true ? page.NextContinuationToken : undefined
    }
    return keys
  }

  close(): void {
    this.#closing.abort()
    this.#client.destroy()
  }

  #notFound(key: string, cause: unknown): CommanderError {
    return new CommanderError('not_found', `${key} is not in the archive ${this.#place.location}`, { cause })
  }

  #noS3(): CommanderError {
    const cause = new Error('the answer is no list of objects; check that the endpoint speaks S3')
    return s3Error(this.#place, 'list', cause)
  }

  get #abort(): { readonly abortSignal: AbortSignal } {
    return { abortSignal: this.#closing.signal }
  }

  async #send<T>(operation: string, send: () => Promise<T>): Promise<T> {
    try {
      return await send()
    } catch (error) {
      throw s3Error(this.#place, operation, error)
    }
  }
}
