import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Database } from '../../src/client.ts'
import { until } from './running-database.ts'

export interface DiaryLine {
  readonly what: string
  readonly point?: string
  readonly id?: string
  readonly key?: string
  readonly attempt?: number
  readonly pid: number
}

interface WorkflowView {
  readonly status: string
  readonly result: unknown
  readonly error: { readonly code: string; readonly message: string } | null
  readonly operations: Readonly<Record<string, { readonly kind: string; readonly attempt: number }>>
}

export interface StreamEvent {
  readonly type: string
  readonly data: { readonly operation?: string; readonly attempt?: number }
}

/** What effects of real processes did, and where they are to wait: files beside the database. */
export class WorkflowDiary {
  readonly directory: string = mkdtempSync(join(tmpdir(), 'diary-'))

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true })
  }

  get lines(): DiaryLine[] {
    const file = join(this.directory, 'diary')
    if (!existsSync(file)) return []
    // The last line of a process that was killed may lack its end.
    return readFileSync(file, 'utf8')
      .split('\n')
      .flatMap((line) => (line.endsWith('}') ? [JSON.parse(line) as DiaryLine] : []))
  }

  hold(id: string, point: string): void {
    writeFileSync(join(this.directory, `hold.${id}.${point}`), '')
  }

  release(id: string, point: string): void {
    rmSync(join(this.directory, `hold.${id}.${point}`), { force: true })
  }

  cure(id: string): void {
    writeFileSync(join(this.directory, `cure.${id}`), '')
  }

  at(id: string, point: string): Promise<DiaryLine> {
    return until(`${id} to be at ${point}`, () =>
      this.lines.find((line) => line.what === 'begins' && line.id === id && line.point === point),
    )
  }
}

export async function startWorkflow(client: Database, name: string, id: string, input: object): Promise<void> {
  const { outcome } = await client.execute(`workflow:${name}`, id, 'start', { input })
  if (outcome !== 'completed') throw new Error(`${name}/${id} is ${outcome}`)
}

/** A workflow as its history leaves it. */
export async function viewOf(client: Database, name: string, id: string): Promise<WorkflowView> {
  const { state } = (await client.read(`workflow:${name}`, id)) as unknown as { state: WorkflowView }
  return state
}

export const untilStatus = (client: Database, name: string, id: string, status: string): Promise<WorkflowView> =>
  until(`${name}/${id} to be ${status}`, async () => {
    const view = await viewOf(client, name, id)
    return view.status === status ? view : null
  })

export async function historyOf(client: Database, name: string, id: string): Promise<StreamEvent[]> {
  const { events } = (await client.stream(`workflow:${name}`, id)) as unknown as { events: StreamEvent[] }
  return events
}
