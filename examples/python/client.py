#!/usr/bin/env python3
"""Presence for a Python program: plain Socket.IO events, no SDK.

    apt-get install python3-socketio python3-requests python3-websocket
    npx rollcall serve --auth insecure
    python3 examples/python/client.py http://127.0.0.1:3001 robot team

Prints a line for every change of who is online in the community.
"""

import signal
import sys

import socketio


def main():
    if len(sys.argv) != 4:
        sys.exit("usage: client.py URL USER COMMUNITY")
    url, user_id, community_id = sys.argv[1:]
    online = {}
    sio = socketio.Client()

    def say():
        names = ", ".join(f"{u} ({p['status']})" for u, p in sorted(online.items()))
        print(f"online: {names}", flush=True)

    @sio.on("globalPresenceSync")
    def on_list(users, info):
        # The whole list: at the start, and again whenever starting over is right.
        if info["communityId"] != community_id:
            return
        online.clear()
        online.update({user["userId"]: user for user in users})
        say()

    def on_user(event):
        if event["communityId"] == community_id:
            online[event["userId"]] = event["userPresence"]
            say()

    sio.on("userOnline", on_user)
    sio.on("userUpdated", on_user)

    @sio.on("userOffline")
    def on_offline(event):
        if event["communityId"] == community_id:
            online.pop(event["userId"], None)
            say()

    @sio.event
    def connect_error(reason):
        print(f"refused: {reason}", file=sys.stderr, flush=True)

    # A device of its own: the same name after every reconnect is the same device.
    auth = {"userId": user_id, "deviceId": f"{user_id}-python", "communities": [community_id]}
    try:
        sio.connect(url, auth=auth, transports=["websocket"])
    except socketio.exceptions.ConnectionError as error:
        sys.exit(f"no connection to {url}: {error}")
    answer = sio.call("presenceUpdate", {"status": "busy"})
    if not answer["ok"]:
        print(answer["error"]["message"], file=sys.stderr, flush=True)

    def stop(*_):
        # Goodbye at once: a connection that is only lost would linger.
        sio.call("leaveCommunity", community_id, timeout=2)
        sio.disconnect()
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    sio.wait()


if __name__ == "__main__":
    main()
