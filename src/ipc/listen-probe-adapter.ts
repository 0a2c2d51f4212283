import { createServer } from 'node:net'

/** Why nobody could listen there now; null: somebody could. */
export function listenFault(host: string, port: number): Promise<NodeJS.ErrnoException | null> {
  const server = createServer()
  return new Promise((resolve) => {
    server.once('error', resolve)
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(null)))
  })
}
