/* The limit: what a tap costs that does the same work in C.
 *
 * Two modes over the same sockets, sessions, keys and files:
 *   sweep  every tick, what epoll reports is drained with recvmmsg
 *   epoll  every packet wakes the process and is read with recv
 * Each packet is unprotected by the libsrtp that pylibsrtp bundles (its address is
 * handed in), appended with a 20-octet record header to its call, and each full
 * 16 KiB of a call is sealed with AES-256-GCM and written to the call's file.
 *
 * Built by bench_tap.py: cc -O2 -shared -fPIC -o limit.so limit.c -lcrypto
 */
#define _GNU_SOURCE
#include <openssl/evp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, SLOT = 2048, CHUNK = 16384, HEADER = 20, EVENTS = 4096 };

typedef int (*unprotect_fn)(void *session, void *packet, int *length);

typedef struct {
    uint8_t buffer[CHUNK + SLOT + HEADER];
    int used;
    int file;
    uint64_t chunk;
    EVP_CIPHER_CTX *cipher;
} call_t;

typedef struct {
    int fd;
    int number;
    void *session;
    call_t *call;
} stream_t;

typedef struct {
    uint64_t packets, refused;
    unprotect_fn unprotect;
    stream_t *streams;
    uint8_t slots[BATCH * SLOT];
    uint8_t sealed[CHUNK + 16];
    struct mmsghdr headers[BATCH];
    struct iovec vectors[BATCH];
} tap_t;

static void seal_chunk(tap_t *tap, call_t *call)
{
    uint8_t nonce[12] = {0};
    int length, rest;
    memcpy(nonce, &call->chunk, sizeof call->chunk);
    call->chunk++;
    EVP_EncryptInit_ex(call->cipher, NULL, NULL, NULL, nonce);
    EVP_EncryptUpdate(call->cipher, tap->sealed, &length, call->buffer, CHUNK);
    EVP_EncryptFinal_ex(call->cipher, tap->sealed + length, &rest);
    EVP_CIPHER_CTX_ctrl(call->cipher, EVP_CTRL_AEAD_GET_TAG, 16, tap->sealed + CHUNK);
    if (write(call->file, tap->sealed, CHUNK + 16) != CHUNK + 16)
        tap->refused++;
    call->used -= CHUNK;
    memmove(call->buffer, call->buffer + CHUNK, (size_t)call->used);
}

static void take(tap_t *tap, stream_t *stream, uint8_t *packet, int length,
                 const struct timespec *now)
{
    tap->packets++;
    if (length < 12 || (packet[1] >= 192 && packet[1] < 224) ||
        tap->unprotect(stream->session, packet, &length)) {
        tap->refused++;
        return;
    }
    call_t *call = stream->call;
    uint8_t *record = call->buffer + call->used;
    int64_t arrival[2] = {now->tv_sec, now->tv_nsec};
    memcpy(record, arrival, 16);
    record[16] = (uint8_t)stream->number;
    record[17] = 0;
    record[18] = (uint8_t)length;
    record[19] = (uint8_t)(length >> 8);
    memcpy(record + HEADER, packet, (size_t)length);
    call->used += HEADER + length;
    if (call->used >= CHUNK)
        seal_chunk(tap, call);
}

static void drain(tap_t *tap, stream_t *stream, const struct timespec *now)
{
    int count;
    do {
        count = recvmmsg(stream->fd, tap->headers, BATCH, MSG_DONTWAIT, NULL);
        for (int i = 0; i < count; i++)
            take(tap, stream, tap->slots + SLOT * i, (int)tap->headers[i].msg_len, now);
    } while (count == BATCH);
}

static void nap(double seconds)
{
    struct timespec span = {(time_t)seconds,
                            (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&span, NULL);
}

/* Run until nothing has come for two seconds after the first packet. */
uint64_t limit_run(int per_packet, double tick_s, int streams, const int *fds,
                   void **sessions, const int *files, void *unprotect,
                   uint64_t *refused)
{
    static struct epoll_event events[EVENTS];
    tap_t *tap = calloc(1, sizeof *tap);
    call_t *calls = calloc((size_t)streams / 2, sizeof *calls);
    int poller = epoll_create1(0);
    struct timespec now, last;
    tap->unprotect = (unprotect_fn)unprotect;
    tap->streams = calloc((size_t)streams, sizeof *tap->streams);
    for (int i = 0; i < BATCH; i++) {
        tap->vectors[i] = (struct iovec){tap->slots + SLOT * i, SLOT};
        tap->headers[i].msg_hdr.msg_iov = &tap->vectors[i];
        tap->headers[i].msg_hdr.msg_iovlen = 1;
    }
    for (int i = 0; i < streams / 2; i++) {
        uint8_t key[32] = {(uint8_t)i, (uint8_t)(i >> 8)};
        calls[i].file = files[i];
        calls[i].cipher = EVP_CIPHER_CTX_new();
        EVP_EncryptInit_ex(calls[i].cipher, EVP_aes_256_gcm(), NULL, key, NULL);
    }
    for (int i = 0; i < streams; i++) {
        tap->streams[i] = (stream_t){fds[i], i & 1, sessions[i], &calls[i / 2]};
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
        epoll_ctl(poller, EPOLL_CTL_ADD, fds[i], &event);
    }
    clock_gettime(CLOCK_MONOTONIC, &last);
    for (;;) {
        uint64_t before = tap->packets;
        if (!per_packet)
            nap(tick_s);
        int ready = epoll_wait(poller, events, EVENTS, per_packet ? 200 : 0);
        clock_gettime(CLOCK_REALTIME, &now);
        for (int i = 0; i < ready; i++) {
            stream_t *stream = &tap->streams[events[i].data.u32];
            if (!per_packet) {
                drain(tap, stream, &now);
                continue;
            }
            ssize_t length = recv(stream->fd, tap->slots, SLOT, MSG_DONTWAIT);
            if (length >= 0)
                take(tap, stream, tap->slots, (int)length, &now);
        }
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (tap->packets != before)
            last = now;
        else if (tap->packets && now.tv_sec - last.tv_sec > 2)
            break;
    }
    *refused = tap->refused;
    return tap->packets;
}
