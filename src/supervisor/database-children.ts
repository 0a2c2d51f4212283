import type { ChildSpecification } from './child-specification.ts'
import { granted, type SupervisedResources } from './granted-resources.ts'
import type { SupervisedReplication } from './replication-children.ts'

/** What the supervisor needs to know of a resolved config. Everything else it hands over unread. */
export interface SupervisedConfig {
  readonly dataDir: string
  readonly applications: readonly {
    readonly module: string
    readonly instances: number
    readonly resources: SupervisedResources
  }[]
  readonly processes: Readonly<
    Record<'journalWriter' | 'dispatcher' | 'projectionApplier' | 'gateway', SupervisedResources>
  >
  readonly replication: SupervisedReplication
}

/** The `config` of every child of a database. */
export interface ChildSettings<Config extends SupervisedConfig = SupervisedConfig> {
  readonly config: Config
  readonly databaseId: string
  /** For applications only. */
  readonly application?: ApplicationInstance
}

export interface ApplicationInstance {
  readonly name: string
  /** Absolute path. */
  readonly module: string
  /** Counts from 1. */
  readonly instance: number
  readonly instances: number
}

export interface DatabaseChildrenOptions<Config extends SupervisedConfig> {
  readonly config: Config
  readonly databaseId: string
  /** Of `config.applications`, in their order. */
  readonly applicationNames: readonly string[]
  /** Absolute path of the program of a role: `journal-writer`, `dispatcher`, `projection-applier`, `application`, `gateway`. */
  readonly programOf: (role: string) => string
}

/** The processes of a database and their start order: writer, then what follows it, then applications, then the gateway. */
export function databaseChildren<Config extends SupervisedConfig>(
  options: DatabaseChildrenOptions<Config>,
): ChildSpecification[] {
  const { config, databaseId } = options
  const { journalWriter, dispatcher, projectionApplier, gateway } = config.processes
  const settings: ChildSettings<Config> = { config, databaseId }
  const child = (role: string, resources: SupervisedResources, after: readonly string[]): ChildSpecification => {
    const module = options.programOf(role)
    return { name: role, role, module, config: settings, after, essential: true, ...granted(role, resources) }
  }
  const followers = ['dispatcher', 'projection-applier']
  const applications = config.applications.flatMap((application, index) => {
    const { module, instances, resources } = application
    const name = options.applicationNames[index] ?? String(index + 1)
    return Array.from({ length: instances }, (_, n): ChildSpecification => {
      const instance: ApplicationInstance = { name, module, instance: n + 1, instances }
      return {
        ...child('application', resources, followers),
        name: `application-${name}-${n + 1}`,
        config: { ...settings, application: instance },
        essential: false,
      }
    })
  })
  const { replication } = config
  if (replication.journal === 'replicated' && replication.serversOnly) return []
  return [
    child('journal-writer', journalWriter, []),
    child('dispatcher', dispatcher, ['journal-writer']),
    child('projection-applier', projectionApplier, ['journal-writer']),
    ...applications,
    child('gateway', gateway, [...followers, ...applications.map(({ name }) => name)]),
  ]
}
