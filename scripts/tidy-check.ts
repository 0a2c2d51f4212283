import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { packageOwners } from './import-rules.ts'
import { filesBelow } from './source-file.ts'

/** What the formatter, the linter and the compiler do not see: one line for each finding, empty for a tidy tree. */
export function tidy(root: string): string[] {
  return [...checkTopLevel(root), ...checkWords(root), ...checkDependencies(root), ...checkInstallScripts(root)]
}

const documents = ['ARCHITECTURE.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'JOURNAL_FORMAT.md', 'README.md']
const required = ['bench', 'package-lock.json', 'package.json', 'processes', 'scripts', 'src', 'test', 'tsconfig.json']
const allowed = [...documents, ...required, 'LICENSE']
/** Never committed: .gitignore names them. */
const generated = /^(node_modules|dist|data|coverage)$|\.(tgz|cpuprofile)$/

function checkTopLevel(root: string): string[] {
  const present = readdirSync(root)
  const extra = present.filter((name) => !allowed.includes(name) && !name.startsWith('.') && !generated.test(name))
  const missing = [...documents, ...required].filter((name) => !present.includes(name))
  return [
    ...extra.map((name) => `${name}: [top-level] the top level has a fixed list of names; move it to where it belongs`),
    ...missing.map((name) => `${name}: [top-level] is missing`),
  ]
}

// Written so that this file does not contain what it looks for.
const words: readonly { readonly pattern: RegExp; readonly reason: string }[] = [
  { pattern: /\b(TO[D]O|FIX[M]E|XX[X])\b/, reason: 'finish it, or write down elsewhere what is left' },
  { pattern: /(^|[^\w/.])\/(work|root|home)\//, reason: 'a path of one machine' },
  { pattern: /\.\.\/shar[e]d\//, reason: 'a path outside of the repository' },
  { pattern: /\bissue #?\d+\b/i, reason: 'say what is meant: readers cannot follow the number' },
  { pattern: /registry\.npm[j]s/, reason: 'a registry host: the lock file is independent of it' },
  { pattern: /^(<{7}|>{7}|={7})( |$)/, reason: 'a merge conflict' },
]
const wordFolders = ['src', 'processes', 'test', 'bench', 'scripts', '.ci']
const textFile = /(\.([cm]?[jt]s|json|md|ya?ml|csv|html|css|sh)|\/run)$/

function checkWords(root: string): string[] {
  const below = wordFolders
    .filter((name) => existsSync(join(root, name)))
    .flatMap((name) => filesBelow(join(root, name)))
  const top = readdirSync(root, { withFileTypes: true }).flatMap((entry) =>
    entry.isFile() ? [join(root, entry.name)] : [],
  )
  return [...top, ...below]
    .filter((path) => textFile.test(path))
    .flatMap((path) => checkLines(relative(root, path), readFileSync(path, 'utf8')))
}

function checkLines(path: string, text: string): string[] {
  return text.split('\n').flatMap((line, index) =>
    words.flatMap(({ pattern, reason }) => {
      const [found] = pattern.exec(line) ?? []
      return found === undefined ? [] : [`${path}:${index + 1}: [words] "${found.trim()}": ${reason}`]
    }),
  )
}

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
  readonly allowScripts: Readonly<Record<string, boolean>>
}

const readJson = (root: string, name: string): unknown => JSON.parse(readFileSync(join(root, name), 'utf8'))

/** Exact versions, each with one owner file in the import rules and one row in CONTRIBUTING.md. */
function checkDependencies(root: string): string[] {
  const { dependencies, devDependencies } = readJson(root, 'package.json') as Manifest
  const contributing = join(root, 'CONTRIBUTING.md')
  const rows = existsSync(contributing) ? readFileSync(contributing, 'utf8').split('\n') : []
  const findings: string[] = []
  for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies })) {
    if (!/^\d+\.\d+\.\d+$/.test(version)) findings.push(`package.json: [dependencies] ${name}@${version} is not exact`)
    const owner = packageOwners[name]
    const row = `| ${name} | ${version} |${owner && name in dependencies ? ` \`${owner}\` |` : ''}`
    if (!rows.some((line) => line.startsWith(row) && line.length > row.length + 2)) {
      findings.push(`CONTRIBUTING.md: [dependencies] no row that starts with "${row}" and gives a reason`)
    }
    if (!owner && name in dependencies) findings.push(`package.json: [dependencies] ${name} has no owner file`)
  }
  for (const [name, owner] of Object.entries(packageOwners)) {
    if (!(name in dependencies)) findings.push(`scripts/import-rules.ts: [dependencies] ${name} is not a dependency`)
    else if (!existsSync(join(root, owner))) findings.push(`${owner}: [dependencies] is missing, but owns ${name}`)
  }
  return findings
}

interface LockFile {
  readonly packages: Readonly<Record<string, { readonly hasInstallScript?: boolean }>>
}

/** A package that runs code while it is installed was reviewed: allowScripts in package.json names it. */
function checkInstallScripts(root: string): string[] {
  const { packages } = readJson(root, 'package-lock.json') as LockFile
  const { allowScripts } = readJson(root, 'package.json') as Manifest
  const running = Object.entries(packages)
    .filter(([path, { hasInstallScript }]) => path !== '' && hasInstallScript)
    .map(([path]) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length))
  return [
    ...running
      .filter((name) => !(name in allowScripts))
      .map(
        (name) =>
          `package.json: [install-scripts] ${name} has an install script: review it, then add it to allowScripts`,
      ),
    ...Object.keys(allowScripts)
      .filter((name) => !running.includes(name))
      .map((name) => `package.json: [install-scripts] ${name} has no install script: take it out of allowScripts`),
  ]
}
