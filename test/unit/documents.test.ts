import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { exitCodes } from '../../src/cli/exit-code.ts'
import { verbs } from '../../src/cli/verbs.ts'
import { problemOf } from '../../src/gateway/http-problem.ts'
import { CommanderError, type ErrorCode, errorCodes } from '../../src/kernel/errors.ts'
import { configKeys } from '../../src/sdk/config-schema.ts'

const root = resolve(import.meta.dirname, '..', '..')
const documents = [...readdirSync(root).filter((name) => name.endsWith('.md')), 'bench/README.md']
const textOf = (name: string): string => readFileSync(join(root, name), 'utf8')
const readme = textOf('README.md')
const errorCodeNames = Object.keys(errorCodes) as ErrorCode[]
const statusOf = (code: ErrorCode): number => problemOf(new CommanderError(code, '')).status

/** The cells of the rows of the table that begins with this column. */
function rowsOf(firstColumn: string): readonly (readonly string[])[] {
  const [, table = ''] = new RegExp(`^\\| ${firstColumn} \\|.*\\n\\|[-|]+\\|\\n((?:\\|.*\\n)+)`, 'm').exec(readme) ?? []
  return table
    .trimEnd()
    .split('\n')
    .map((row) => row.split('|').slice(1, -1))
    .map((cells) => cells.map((cell) => cell.trim()))
}

const codeSpans = (markdown: string): readonly string[] =>
  [...markdown.matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code)

/** Lines of shell and code in the text, without fences of other languages. */
function commandsIn(markdown: string): readonly string[] {
  const shell = [...markdown.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].flatMap(([, text = '']) => text.split('\n'))
  const prose = markdown.replace(/^```[\s\S]*?^```$/gm, '')
  return [...shell, ...codeSpans(prose)].filter((line) => /\bcommanderdb [a-z]/.test(line))
}

const wordsOf = (command: string): readonly string[] =>
  command.slice(command.lastIndexOf('commanderdb ') + 'commanderdb '.length).split(/[ |]+/)

const verbOf = ([first = '', second = '']: readonly string[]): (typeof verbs)[number] | undefined =>
  verbs.find(({ path }) => path === `${first} ${second}`) ?? verbs.find(({ path }) => path === first)

describe('the documents', () => {
  it.each(documents)('%s links to what is there', (name) => {
    const links = [...textOf(name).matchAll(/\]\(([^)#\s]*)(?:#([^)\s]*))?\)/g)]
    const broken = links.filter(([, path = '', anchor]) => {
      if (/^https?:/.test(path)) return false
      const target = path === '' ? name : join(dirname(name), path)
      if (!existsSync(join(root, target))) return true
      return anchor !== undefined && !anchorsOf(textOf(target)).includes(anchor)
    })
    expect(broken.map(([link]) => link)).toEqual([])
  })

  it.each(documents)('%s names files that are there', (name) => {
    const spans = codeSpans(textOf(name).replace(/^```[\s\S]*?^```$/gm, ''))
    const paths = spans.filter((span) => /^(src|test|bench|scripts)\/[a-z][\w./-]+(\.\w+|\/)$/.test(span))
    expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([])
  })

  it.each(documents)('%s names verbs and flags that the command line has', (name) => {
    const wrong = commandsIn(textOf(name)).flatMap((command) => {
      const words = wordsOf(command)
      const verb = verbOf(words)
      if (verb === undefined) return [`no verb: ${command}`]
      const known = verb.flags.map(({ flag }) => flag.split(' ')[0])
      return words.filter((word) => word.startsWith('--') && !known.includes(word)).map((flag) => `${flag}: ${command}`)
    })
    expect(wrong).toEqual([])
  })

  it.each(documents)('%s names scripts that package.json has', (name) => {
    const { scripts } = JSON.parse(textOf('package.json')) as { readonly scripts: Readonly<Record<string, string>> }
    const named = [...textOf(name).matchAll(/\bnpm (?:run )?(start|test|(?<=run )[a-z]+)\b/g)].map(
      ([, script = '']) => script,
    )
    expect(named.filter((script) => !(script in scripts))).toEqual([])
  })

  it.each(documents)('%s names keys and variables that the config has', (name) => {
    const spans = codeSpans(textOf(name).replace(/^```[\s\S]*?^```$/gm, ''))
    const paths = configKeys.map(({ path }) => path)
    const groups = new Set(paths.flatMap((path) => (path.includes('.') ? [path.split('.')[0]] : [])))
    const wrongKeys = spans.filter((span) => {
      const [group] = /^[a-z]+(?=\.[a-z][a-zA-Z]+$)/.exec(span) ?? []
      return group !== undefined && groups.has(group) && !paths.some((path) => `${path}.`.startsWith(`${span}.`))
    })
    const variables = new Set([...configKeys.map(({ variable }) => variable), ...otherVariables])
    const wrongVariables =
      textOf(name)
        .match(/\bCOMMANDERDB_[A-Z_]+\b/g)
        ?.filter((one) => !variables.has(one)) ?? []
    expect([...wrongKeys, ...wrongVariables]).toEqual([])
  })
})

/** Read elsewhere than in the config. */
const otherVariables = ['COMMANDERDB_LOG_LEVEL', 'COMMANDERDB_TOKEN']

/** As GitHub makes them. */
function anchorsOf(markdown: string): readonly string[] {
  const headings = [...markdown.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => heading)
  return headings.map((heading) => {
    return heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} -]/gu, '')
      .replaceAll(' ', '-')
  })
}

describe('README.md', () => {
  it('lists the exit codes of the command line', () => {
    expect(rowsOf('exit code').map(([code]) => Number(code))).toEqual(Object.values(exitCodes))
  })

  it('gives each error code the status that it has over HTTP', () => {
    const wrong = rowsOf('status').flatMap(([status = '', codes = '']) => {
      return codeSpans(codes).filter((code) => statusOf(code as ErrorCode) !== Number(status))
    })
    expect(wrong).toEqual([])
  })

  it('leaves out no error that a caller can do something about', () => {
    const listed = rowsOf('status').flatMap(([, codes = '']) => codeSpans(codes))
    // 422 has the code that the application gave it.
    const missing = errorCodeNames.filter((code) => statusOf(code) < 500 && statusOf(code) !== 422)
    expect(missing.filter((code) => !listed.includes(code))).toEqual([])
  })

  it('gives each limit its default', () => {
    const text = readme.replace(/\s+/g, ' ')
    const wrong = configKeys
      .filter(({ path }) => path.startsWith('limits.'))
      .filter(({ path, default: value }) => !text.includes(`\`${path.slice('limits.'.length)}\` (${inWords(value)})`))
    expect(wrong.map(({ path, default: value }) => `${path}: ${inWords(value)}`)).toEqual([])
  })
})

function inWords(value: unknown): string {
  const mebibytes = Number(value) / 2 ** 20
  return Number.isInteger(mebibytes) ? `${mebibytes} MiB` : Number(value).toLocaleString('en-US')
}

describe('CHANGELOG.md', () => {
  it('names every verb of the command line', () => {
    const named = codeSpans(textOf('CHANGELOG.md'))
    expect(verbs.map(({ path }) => path).filter((path) => !named.includes(path))).toEqual([])
  })
})
