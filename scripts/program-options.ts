import { type ParseArgsConfig, parseArgs } from 'node:util'

type Options = NonNullable<ParseArgsConfig['options']>
type Values<Given extends Options> = ReturnType<typeof parseArgs<{ options: Given }>>['values']

interface NumberRange {
  /** Default 0. */
  readonly min?: number
  /** Default: any. */
  readonly max?: number
  readonly isWhole?: boolean
}

/** What a program of this repository was called with. */
export interface ProgramOptions<Given extends Options> {
  readonly values: Values<Given>
  /** The number of an option; `Infinity` only where a program has that as its default. */
  number(name: string & keyof Given, range?: NumberRange): number
  /** Says what is wrong with them, and ends with 2. */
  refuse(what: string): never
}

/**
 * Reads the options of a program of this repository. With `--help` it prints the usage and ends; what it does not know, or is no number
 * where one belongs, it refuses by one line on stderr and exit code 2.
 */
export function programOptions<const Given extends Options>(
  { name, usage }: { readonly name: string; readonly usage: string },
  options: Given,
): ProgramOptions<Given> {
  const values = read(name, usage, options)
  const refuse = (what: string): never => refused(name, what)
  return {
    values,
    refuse,
    number(option, { min = 0, max = Number.POSITIVE_INFINITY, isWhole = false } = {}) {
      const text = String((values as Record<string, unknown>)[option] ?? '')
      const isNumber = isWhole ? /^(\d+|Infinity)$/.test(text) : text.trim() !== ''
      const value = Number(text)
      if (isNumber && value >= min && value <= max) return value
      const range = max === Number.POSITIVE_INFINITY ? `from ${min} on` : `from ${min} to ${max}`
      return refuse(`--${option} is ${JSON.stringify(text)}; it must be a ${isWhole ? 'whole ' : ''}number ${range}`)
    },
  }
}

function read<const Given extends Options>(name: string, usage: string, options: Given): Values<Given> {
  try {
    const { values } = parseArgs({ options: { ...options, help: { type: 'boolean', short: 'h', default: false } } })
    if ((values as { readonly help?: unknown }).help !== true) return values as Values<Given>
  } catch (error) {
    return refused(name, (error as Error).message)
  }
  process.stdout.write(`${usage}\n`)
  process.exit(0)
}

function refused(name: string, what: string): never {
  process.stderr.write(`${name}: ${what}; --help shows what there is\n`)
  process.exit(2)
}
