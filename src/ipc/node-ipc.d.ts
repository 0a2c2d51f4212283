/** The part of node-ipc 14.0.0 that its adapter uses; the package has no types of its own. */
declare module 'node-ipc' {
  import type { Server as NetServer, Socket } from 'node:net'

  export interface Config {
    id: string
    appspace: string
    socketRoot: string
    secureSocketRoot: boolean
    parser: 'raw' | 'fast' | 'guarded' | 'assured'
    sync: boolean
    silent: boolean
    unlink: boolean
    maxConnections: number
    maxRetries: number
    stopRetrying: boolean
  }

  export interface Client {
    readonly socket: Socket
    on(type: 'connect' | 'disconnect' | 'destroy', handler: () => void): this
    on(type: 'data', handler: (data: Buffer) => void): this
    on(type: 'error', handler: (error: NodeJS.ErrnoException) => void): this
  }

  export interface Server {
    readonly server: NetServer
    start(): void
    stop(): void
    on(type: 'connect' | 'close', handler: (socket: Socket) => void): this
    on(type: 'data', handler: (data: Buffer, socket: Socket) => void): this
    on(type: 'error', handler: (error: NodeJS.ErrnoException) => void): this
  }

  export class IPCModule {
    readonly config: Config
    readonly of: Record<string, Client>
    readonly server: Server
    connectTo(id: string, path: string, callback?: () => void): void
    disconnect(id: string): void
    serve(path: string, callback: () => void): void
  }
}
