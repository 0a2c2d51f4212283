/**
 * Standard Schema v1, the part that CommanderDB calls. Users bring any library that speaks it (zod, valibot, arktype…).
 * Copied, as its authors recommend, from https://standardschema.dev (MIT, Colin McDonnell and others).
 */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

export type StandardResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly StandardIssue[] }

export interface StandardIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

export function isStandardSchema(value: unknown): value is StandardSchema {
  if (value === null || (typeof value !== 'object' && typeof value !== 'function')) return false
  const standard = (value as { readonly '~standard'?: { readonly version?: unknown; readonly validate?: unknown } })[
    '~standard'
  ]
  return standard?.version === 1 && typeof standard.validate === 'function'
}
