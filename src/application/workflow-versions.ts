import type { AnyWorkflow } from '../sdk/workflow-types.ts'
import type { Failure } from '../workflows/failure.ts'

/** The workflows that this process has the code of, in all versions that it has. */
export class WorkflowVersions {
  readonly #byName = new Map<string, Map<number, AnyWorkflow>>()

  constructor(workflows: readonly AnyWorkflow[]) {
    for (const workflow of workflows) {
      const versions = this.#byName.get(workflow.name) ?? new Map<number, AnyWorkflow>()
      versions.set(workflow.version, workflow)
      this.#byName.set(workflow.name, versions)
    }
  }

  find(name: string, version: number): AnyWorkflow | undefined {
    return this.#byName.get(name)?.get(version)
  }

  /** The newest version of a workflow that is here: that of its next run. */
  newestOf({ name, version }: AnyWorkflow): number {
    return Math.max(version, ...(this.#byName.get(name)?.keys() ?? []))
  }

  /** Why a workflow of a version that is not here cannot go on. */
  missing(name: string, version: number): Failure {
    const known = [...(this.#byName.get(name)?.keys() ?? [])].join(', ')
    return {
      code: 'version_missing',
      message:
        `the workflow was started with version ${version} of "${name}", and the application has only ${known}: ` +
        `put version ${version} back into the application's workflows, beside the newer one, start the database again, and then retry the workflow`,
    }
  }
}
