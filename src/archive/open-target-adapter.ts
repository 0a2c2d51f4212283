import { tmpdir } from 'node:os'
import { CommanderError, messageOf } from '../kernel/errors.ts'
import type { ArchiveTarget } from './archive-target.ts'
import { DirectoryTarget } from './file-directory-target.ts'
import type { S3Options } from './s3-calls.ts'
import { S3Target } from './s3-target.ts'

/** Where an archive is, as the config says it. */
export type ArchiveLocation = { readonly directory: string } | { readonly s3: S3Options }

/** What `s3://` URLs do not say: service, region, path style. */
export type S3Service = Omit<S3Options, 'bucket' | 'prefix'>

/**
 * Nothing is asked of the place yet. The SDK for S3 is loaded here, and only for S3.
 * @throws CommanderError `invalid_config`
 */
export async function openArchiveTarget(at: ArchiveLocation): Promise<ArchiveTarget> {
  if ('directory' in at) return new DirectoryTarget(at.directory)
  const { bucket, endpoint } = at.s3
  if (endpoint !== undefined && !/^https?:\/\/./.test(endpoint)) {
    throw new CommanderError('invalid_config', `archive.s3.endpoint is ${endpoint}; it must be an http or https URL`)
  }
  const prefix = (at.s3.prefix ?? '').replace(/^\/+|\/+$/g, '')
  const location = `s3://${bucket}${prefix === '' ? '' : `/${prefix}`}`
  const { S3ClientCalls } = await import('./s3-client-adapter.ts').catch(notInstalled)
  const calls = new S3ClientCalls(at.s3, location)
  return new S3Target({ location, prefix: prefix === '' ? '' : `${prefix}/`, calls, spoolDirectory: tmpdir() })
}

/** @param place - a directory, or `s3://bucket/prefix`. */
export function archiveLocationOf(place: string, service: S3Service = {}): ArchiveLocation {
  const [, bucket, prefix] = /^s3:\/\/([^/]+)(?:\/(.*))?$/.exec(place) ?? []
  if (bucket === undefined) return { directory: place }
  return { s3: { ...service, bucket, ...(prefix === undefined || prefix === '' ? {} : { prefix }) } }
}

function notInstalled(cause: unknown): never {
  const message = `archives in S3 need the package @aws-sdk/client-s3, which cannot be loaded: ${messageOf(cause)}`
  throw new CommanderError('invalid_config', message, { cause })
}
