import { CommanderError, messageOf } from '../kernel/errors.ts'

/** What the SDK's errors have in common. */
interface ServiceError {
  readonly name?: string
  readonly code?: string
  readonly Region?: string
  readonly $metadata?: { readonly httpStatusCode?: number }
  readonly $response?: { readonly headers?: Readonly<Record<string, string>> }
}

export interface S3Place {
  /** `s3://bucket/prefix`. */
  readonly location: string
  readonly bucket: string
  /** Empty for AWS itself. */
  readonly endpoint: string
}

export const statusOf = (error: unknown): number | undefined => (error as ServiceError).$metadata?.httpStatusCode

/** What went wrong at a service, in words that say what to do. */
export function s3Error(place: S3Place, operation: string, cause: unknown): CommanderError {
  const at = place.endpoint === '' ? '' : ` at ${place.endpoint}`
  const reason = explain(place, cause as ServiceError) ?? messageOf(cause)
  const message = `cannot ${operation} in the archive ${place.location}${at}: ${reason}`
  const { name, code } = cause as ServiceError
  return new CommanderError('archive_unavailable', message, {
    details: { location: place.location, operation, reason: name ?? code, status: statusOf(cause) },
    cause,
  })
}

const unreachable: readonly (string | undefined)[] = [
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EPIPE',
  'ETIMEDOUT',
]

function explain({ bucket }: S3Place, error: ServiceError): string | null {
  const { name = '', code } = error
  const status = error.$metadata?.httpStatusCode
  if (name === 'TimeoutError') return 'the service does not answer in time; check endpoint and network'
  if (unreachable.includes(code))
    return `the service cannot be reached (${code}); check whether it runs, endpoint and network`
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN')
    return `the host of the service is not known (${code}); check archive.s3.endpoint`
  if (name === 'NoSuchBucket') return `there is no bucket ${bucket}; make it, or correct archive.s3.bucket`
  const region = regionOf(error)
  if (region !== null) return `the bucket ${bucket} is in another region${region}; set archive.s3.region`
  if (name.startsWith('CredentialsProvider'))
    return 'no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile'
  if (status === 401 || status === 403)
    return `the service refuses (${name || status}); check the credentials and that they may get, put and list in ${bucket}`
  if (status !== undefined && (status >= 500 || status === 429))
    return `the service fails (${name || status}, status ${status})`
  return status === undefined
    ? null
    : `the service answered with status ${status}, ${name}; check that the endpoint speaks S3`
}

/** Empty when the service does not say which. */
function regionOf(error: ServiceError): string | null {
  const names = ['PermanentRedirect', 'AuthorizationHeaderMalformed', 'IllegalLocationConstraintException']
  const told = error.Region ?? error.$response?.headers?.['x-amz-bucket-region']
  if (!names.includes(error.name ?? '') && error.$metadata?.httpStatusCode !== 301) return null
  return told === undefined ? '' : `, ${told}`
}
