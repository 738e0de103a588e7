/* The limit: receive, authenticate, decrypt and record in C.
 *
 * The module of limit.py.  It links nothing: libsrtp is the one that pylibsrtp
 * bundles, handed in as a function pointer.  A record is what the tap writes: the
 * kernel's arrival time, stream, kind, length, octets.  Sealing and writing are the
 * caller's, for every call that holds *enough* octets.  Stages: 1 receive, 2 + unprotect, 3 + record.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { BATCH = 64, SLOT = 2048, CONTROL = 32, HEADER = 20, ROOM = 64 * 1024 };
typedef int (*unprotect_fn)(void *session, void *packet, int *length);
typedef struct { uint8_t octets[ROOM]; uint32_t used; uint8_t queued; } call_t;
typedef struct { int fd, call; uint8_t number; void *session; } stream_t;
typedef struct {
    uint64_t packets, refused;
    int ready_count, poller, stage;
    uint32_t enough;
    int *ready;
    call_t *calls;
    stream_t *streams;
    unprotect_fn unprotect;
    struct epoll_event *events;
    struct mmsghdr headers[BATCH];
    struct iovec vectors[BATCH];
    uint8_t slots[BATCH * SLOT], controls[BATCH * CONTROL];
} limit_t;

static limit_t *limit_new(int streams, intptr_t unprotect, int stage, int enough)
{
    limit_t *one = calloc(1, sizeof *one);
    one->unprotect = (unprotect_fn)unprotect;
    one->stage = stage;
    one->enough = (uint32_t)enough;
    one->streams = calloc((size_t)streams, sizeof *one->streams);
    one->calls = calloc((size_t)streams / 2 + 1, sizeof *one->calls);
    one->ready = calloc((size_t)streams, sizeof *one->ready);
    one->events = calloc((size_t)streams, sizeof *one->events);
    one->poller = epoll_create1(0);
    for (int i = 0; i < BATCH; i++) {
        one->vectors[i] = (struct iovec){one->slots + SLOT * i, SLOT};
        one->headers[i].msg_hdr = (struct msghdr){
            .msg_iov = &one->vectors[i], .msg_iovlen = 1,
            .msg_control = one->controls + CONTROL * i, .msg_controllen = CONTROL};
    }
    return one;
}

static void limit_add(limit_t *one, int i, int fd, intptr_t session)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
    one->streams[i] = (stream_t){fd, i / 2, (uint8_t)(i & 1), (void *)session};
    epoll_ctl(one->poller, EPOLL_CTL_ADD, fd, &event);
}

static void limit_take(limit_t *one, stream_t *stream, int slot, int length)
{
    uint8_t *packet = one->slots + SLOT * slot;
    call_t *call = &one->calls[stream->call];
    one->packets++;
    if (one->stage < 2)
        return;
    if (length < 12 || (packet[1] >= 192 && packet[1] < 224) ||
        one->unprotect(stream->session, packet, &length)) {
        one->refused++;
        return;
    }
    if (one->stage < 3 || call->used + HEADER + (uint32_t)length > ROOM)
        return;
    uint8_t *record = call->octets + call->used;
    memcpy(record, one->controls + CONTROL * slot + 16, 16);
    record[16] = stream->number;
    record[17] = 0;
    record[18] = (uint8_t)length;
    record[19] = (uint8_t)(length >> 8);
    memcpy(record + HEADER, packet, (size_t)length);
    call->used += HEADER + (uint32_t)length;
    if (!call->queued && call->used >= one->enough) {
        call->queued = 1;
        one->ready[one->ready_count++] = stream->call;
    }
}

/* Take in what epoll reports: all of it per socket, or one packet per wake-up. */
static int limit_turn(limit_t *one, int streams, int wait_ms, int per_packet)
{
    int found = epoll_wait(one->poller, one->events, streams, wait_ms);
    for (int i = 0; i < found; i++) {
        stream_t *stream = &one->streams[one->events[i].data.u32];
        int count, most = per_packet ? 1 : BATCH;
        do {
            if (per_packet) {
                count = (int)recvmsg(stream->fd, &one->headers[0].msg_hdr, MSG_DONTWAIT);
                one->headers[0].msg_len = (unsigned)count;
                count = count > 0;
                one->headers[0].msg_hdr.msg_controllen = CONTROL;
            } else {
                count = recvmmsg(stream->fd, one->headers, BATCH, MSG_DONTWAIT, 0);
            }
            for (int k = 0; k < count; k++)
                limit_take(one, stream, k, (int)one->headers[k].msg_len);
        } while (!per_packet && count == most);
    }
    return found;
}
