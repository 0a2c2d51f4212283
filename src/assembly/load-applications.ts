import type { Application } from '../sdk/application.ts'
import { assertApplicationsFit } from '../sdk/application-set.ts'
import { loadApplication } from '../sdk/load-module-adapter.ts'
import type { ResolvedConfig } from '../sdk/resolved-config.ts'

/** The application modules of a config, loaded and checked against each other. */
export async function loadApplications({ applications }: ResolvedConfig): Promise<readonly Application[]> {
  const loaded = await Promise.all(applications.map(({ module }) => loadApplication(module)))
  assertApplicationsFit(loaded)
  return loaded
}
