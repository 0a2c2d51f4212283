import { fileSurroundings } from '../src/assembly/file-surroundings-adapter.ts'
import type { Surroundings } from '../src/assembly/surroundings.ts'
import type { ResolvedConfig } from '../src/sdk/resolved-config.ts'
import type { Child } from '../src/supervisor/child-main.ts'
import type { ChildSettings } from '../src/supervisor/database-children.ts'

export type DatabaseChild = Child<ChildSettings<ResolvedConfig>>

/** What a role of a supervised process stands in: sockets and files of the data directory. */
export function surroundingsOf({ environment, transport, config, fail }: DatabaseChild): Surroundings {
  const { databaseId } = config
  return fileSurroundings({ environment, transport, dataDir: config.config.dataDir, databaseId, failed: fail })
}

/** Reports `ready` once `isCaughtUp`, and `starting` while it is not again. */
export function reportReadiness({ environment, link }: DatabaseChild, isCaughtUp: () => boolean): void {
  const look = (): void => {
    if (isCaughtUp()) link.ready()
    else link.starting()
    environment.scheduler.after(lookMs, look)
  }
  look()
}

const lookMs = 20
