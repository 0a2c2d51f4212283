import { Packr } from 'msgpackr'

export interface Received {
  readonly type: 'command/received'
  readonly id: number
  readonly aggregate: string
  readonly command: string
  readonly at: number
  readonly data: { readonly amount: number; readonly currency: string; readonly memo: string }
}

export interface Started {
  readonly type: 'command/started'
  readonly application: number
  readonly lsns: readonly number[]
}

export interface Completed {
  readonly type: 'command/completed'
  readonly lsn: number
  readonly id: number
  readonly aggregate: string
  readonly revision: number
  readonly events: readonly {
    readonly type: string
    readonly data: { readonly amount: number }
    readonly balance: number
  }[]
}

/** As the database packs: each payload stands for itself. */
export const packr: Packr = new Packr({ useRecords: false })
