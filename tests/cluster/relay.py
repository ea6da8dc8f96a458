"""relay.py FD ADDRESS PORT: passes connections of a listening socket on to an address.

The socket was opened outside of the cluster's network namespace and stays there; this process runs inside. So a
client on the machine's loopback reaches the API server without any route between the two.
"""

import asyncio
import socket
import sys


async def _copy(reader, writer):
    try:
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    except OSError:
        pass  # the other side is gone, and so is this connection
    finally:
        writer.close()


async def _main(descriptor, address, port):
    async def serve(reader, writer):
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection(address, port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_copy(reader, upstream_writer), _copy(upstream_reader, writer))

    server = await asyncio.start_server(serve, sock=socket.socket(fileno=descriptor))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
