import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { type Mutant, mutated } from './mutant.ts'

const root = resolve(import.meta.dirname, '..', '..')
/** Nothing that a test looks at; node_modules is linked. */
const leftOut = /^(node_modules|dist|data|coverage|\..*)$|\.(tgz|cpuprofile)$/

/** The tree once more, in a directory of its own, to be harmed. */
export class ScratchCopy {
  readonly directory: string

  constructor() {
    this.directory = realpathSync(mkdtempSync(join(tmpdir(), 'commanderdb-mutants-')))
    for (const name of readdirSync(root)) {
      if (!leftOut.test(name)) cpSync(join(root, name), join(this.directory, name), { recursive: true })
    }
    symlinkSync(join(root, 'node_modules'), join(this.directory, 'node_modules'))
  }

  /** Puts a mutant in for as long as `run` takes. */
  async withMutant<T>(mutant: Mutant, run: () => Promise<T>): Promise<T> {
    const path = join(this.directory, mutant.file)
    const source = readFileSync(path, 'utf8')
    writeFileSync(path, mutated(source, mutant))
    try {
      return await run()
    } finally {
      writeFileSync(path, source)
    }
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true })
  }
}
