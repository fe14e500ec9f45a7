/* The load client of the chat benchmark: holds sockets to one server and does what its standard input says.
 *
 *     client PORT PATH HELLO HEAD TAIL
 *
 * PATH and HELLO are printf formats for the numbers of a room and of a user; a message is HEAD, a text, TAIL. With a
 * HELLO the server speaks Socket.IO: the hello is sent when its session is open, its pings are answered, and only its
 * events are heard. Every command is one line, and is answered with one line of JSON:
 *
 *     connect SOCKETS ROOMS AT_ONCE                   open the sockets, and read until nobody has anything more to say
 *     saturate MILLISECONDS WINDOW SENDERS            in each room so many senders, WINDOW messages on their way
 *     steady MILLISECONDS DELIVERIES_PER_SECOND       one sender in each room, at this rate whatever comes back
 *     churn CONNECTIONS ROOMS AT_ONCE                 open, hear one frame, close
 *
 * Frames are counted by hopping from header to header. Every server must give every message to every socket of its
 * room, in one order: so the k-th frame that a socket hears is the k-th message of its room, and need not be read (nor
 * inflated) to know when it was sent. After each burst all that is on its way is read and the counts are compared.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_PEERS = 1 << 16, MAX_FRAME = 4096, BUFFER = 1 << 18, EVENTS = 512, MAX_MESSAGE = 256, MAX_WINDOW = 1024 };
static const double QUIET_SECONDS = 0.5, STALL_SECONDS = 20.0;
static const uint8_t MASK[4] = {0x37, 0xfa, 0x21, 0x3d};
static const char PADDING[] = "the quick brown fox jumps over the lazy dog, twice or thrice";

typedef enum { IDLE, CONNECTING, SATURATING, STEADY, CHURNING } Mode;

typedef struct {
    int fd, room;
    bool open; /* the WebSocket handshake is done */
    long said, heard; /* messages in this burst */
    size_t kept; /* bytes of a frame whose rest has not come yet */
    uint8_t rest[MAX_FRAME];
} Peer;

static const char *path_format, *hello_format, *head, *tail;
static int port, poller;
static Peer *peers[MAX_PEERS];
static int sockets, rooms, opened, ready, finished; /* finished: connections of a churn that are closed */
static Mode mode;
static double clock_now, began, last_heard, stop_at, used_before;
static long heard_in_all, bytes_in_all, *said_in, quota, senders;
static double *sent_at, *latencies;
static unsigned long serial, first_serial;

static void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    printf("{\"error\": \"");
    vprintf(format, arguments);
    printf("\"}\n");
    fflush(stdout);
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static double cpu_seconds(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

/* -- sending ------------------------------------------------------------------------------------------------------ */

static size_t put_frame(uint8_t *out, uint8_t opcode, const void *payload, size_t size) {
    if (size > 125) die("%zu bytes are too many for a frame of this client", size);
    out[0] = 0x80 | opcode;
    out[1] = 0x80 | size;
    memcpy(out + 2, MASK, 4);
    for (size_t i = 0; i < size; i++) out[6 + i] = ((const uint8_t *)payload)[i] ^ MASK[i & 3];
    return 6 + size;
}

static void send_all(Peer *peer, const void *bytes, size_t size) {
    ssize_t sent = send(peer->fd, bytes, size, MSG_NOSIGNAL);
    if (sent != (ssize_t)size) die("the server does not read what it is sent (%s)", strerror(errno));
}

static void send_frame(Peer *peer, uint8_t opcode, const void *payload, size_t size) {
    uint8_t frame[MAX_MESSAGE];
    send_all(peer, frame, put_frame(frame, opcode, payload, size));
}

static int put_mark(char *out, size_t size, unsigned long number) {
    return snprintf(out, size, "#%010lu ", number);
}

static void say(Peer *peer, int messages) {
    static uint8_t out[MAX_WINDOW * MAX_MESSAGE];
    size_t size = 0;
    for (int i = 0; i < messages; i++) {
        char mark[32], text[MAX_MESSAGE];
        put_mark(mark, sizeof mark, serial++);
        int length = snprintf(text, sizeof text, "%s%s%s%s", head, mark, PADDING, tail);
        size += put_frame(out + size, 1, text, length);
    }
    peer->said += messages;
    said_in[peer->room] += messages;
    send_all(peer, out, size);
}

/* A sender has no more than its share of the window on its way, as far as it has heard. */
static void say_more(Peer *peer) {
    long allowed = (quota + peer->heard) / senders - peer->said;
    if (allowed > 0 && clock_now < stop_at) say(peer, allowed < MAX_WINDOW ? allowed : MAX_WINDOW);
}

/* -- coming and going --------------------------------------------------------------------------------------------- */

static void open_peer(int number) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    char path[MAX_MESSAGE], request[2 * MAX_MESSAGE + 256];
    Peer *peer = calloc(1, sizeof *peer);
    peers[number] = peer;
    peer->room = number % rooms;
    peer->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (peer->fd < 0 || connect(peer->fd, (void *)&address, sizeof address))
        die("connection %d failed (%s)", number, strerror(errno));
    setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    fcntl(peer->fd, F_SETFL, O_NONBLOCK);
    snprintf(path, sizeof path, path_format, peer->room, number);
    send_all(peer, request, snprintf(request, sizeof request,
        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n", path, port));
    epoll_ctl(poller, EPOLL_CTL_ADD, peer->fd, &(struct epoll_event){EPOLLIN, {.ptr = &peers[number]}});
}

static void closed(Peer **slot, const char *why) {
    if (mode != CHURNING) die("the server closed a socket (%s)", why);
    if (!(*slot)->heard) die("the server closed a new connection (%s)", why);
    close((*slot)->fd);
    free(*slot);
    *slot = NULL;
    finished++;
}

/* -- hearing ------------------------------------------------------------------------------------------------------ */

/* At the steady rate there is time to look whether it is the message it must be, unless it is compressed (NULL). */
static void heard_message(Peer *peer, const uint8_t *payload, size_t size) {
    char mark[32];
    long index = peer->heard++ * rooms + peer->room;
    heard_in_all++;
    if (mode == SATURATING || mode == STEADY) {
        if (peer->heard > said_in[peer->room]) die("a socket heard more than was said in its room");
        if (mode != STEADY) return;
        latencies[heard_in_all - 1] = clock_now - sent_at[index];
        if (payload && !memmem(payload, size, mark, put_mark(mark, sizeof mark, first_serial + index)))
            die("message %ld of room %d is not where it belongs", peer->heard, peer->room);
    } else if (peer->heard == 1) {
        ready++;
        if (mode == CHURNING) send_frame(peer, 8, "\x03\xe8", 2);
    }
}

/* Whatever is no event of Socket.IO. */
static void heard_packet(Peer **slot, const uint8_t *payload, size_t size) {
    char hello[MAX_MESSAGE];
    if (size == 1 && payload[0] == '2') send_frame(*slot, 1, "3", 1);
    if (size > 0 && payload[0] == '0') {
        int length = snprintf(hello, sizeof hello, hello_format, (*slot)->room, (int)(slot - peers));
        send_frame(*slot, 1, hello, length);
    }
}

/* Whether the connection is still there. */
static bool heard_control(Peer **slot, uint8_t opcode, const uint8_t *payload, size_t size) {
    char why[64];
    if (opcode == 9) send_frame(*slot, 10, payload, size);
    else if (opcode == 8) {
        snprintf(why, sizeof why, "code %d", size < 2 ? 0 : payload[0] << 8 | payload[1]);
        if (mode != CHURNING || !(*slot)->heard) closed(slot, why); /* in a churn it answers ours: the end follows */
    } else if (opcode != 10) die("a frame with the opcode %d", opcode);
    return *slot != NULL;
}

/* Read whole frames; answers where the unfinished one begins, or NULL when the connection is gone. */
static uint8_t *read_frames(Peer **slot, uint8_t *at, uint8_t *end) {
    while (end - at >= 2) {
        long size = at[1], header = 2;
        if (size == 126) {
            if (end - at < 4) break;
            size = at[2] << 8 | at[3];
            header = 4;
        }
        if (at[1] > 126 || header + size > MAX_FRAME) die("a frame of more than %d bytes", MAX_FRAME);
        if (end - at < header + size) break;
        uint8_t *payload = at + header;
        if ((at[0] & 0x8f) == 0x81) {
            if (!*hello_format || (size > 2 && payload[0] == '4' && payload[1] == '2')) heard_message(*slot, at[0] & 0x40 ? NULL : payload, size);
            else heard_packet(slot, payload, size);
        } else if (!heard_control(slot, at[0] & 0x0f, payload, size)) return NULL;
        at += header + size;
    }
    return at;
}

static uint8_t *read_handshake(Peer *peer, uint8_t *at, uint8_t *end) {
    uint8_t *blank = memmem(at, end - at, "\r\n\r\n", 4);
    if (!blank) return at;
    if (memcmp(at, "HTTP/1.1 101", 12)) die("the handshake was answered %.12s", (char *)at);
    peer->open = true;
    return blank + 4;
}

static void receive(Peer **slot) {
    static uint8_t buffer[BUFFER];
    Peer *peer = *slot;
    memcpy(buffer, peer->rest, peer->kept);
    ssize_t got = recv(peer->fd, buffer + peer->kept, BUFFER - peer->kept, 0);
    if (got <= 0) {
        closed(slot, got ? strerror(errno) : "end of the stream");
        return;
    }
    uint8_t *at = buffer, *end = buffer + peer->kept + got;
    last_heard = clock_now = now();
    bytes_in_all += got;
    if (!peer->open) at = read_handshake(peer, at, end);
    if (peer->open) at = read_frames(slot, at, end);
    if (!at) return;
    peer->kept = end - at;
    if (peer->kept > MAX_FRAME) die("an answer of more than %d bytes", MAX_FRAME);
    memcpy(peer->rest, at, peer->kept);
    if (mode == SATURATING && slot - peers < senders * rooms) say_more(peer);
}

/* Read what comes within so many seconds; answers whether there is a command. */
static bool attend(double seconds) {
    struct epoll_event events[EVENTS];
    struct timespec time = {seconds, (seconds - (long)seconds) * 1e9};
    bool command = false;
    ppoll(&(struct pollfd){poller, POLLIN, 0}, 1, seconds < 0 ? NULL : &time, NULL);
    int count = epoll_wait(poller, events, EVENTS, 0);
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr) receive(events[i].data.ptr);
        else command = true;
    }
    clock_now = now();
    return command;
}

/* Within a command nothing more may be ordered: a readable input means that the benchmark is gone. */
static void attend_burst(double seconds) {
    if (attend(seconds < 0 ? 0 : seconds)) exit(1);
    if (clock_now - last_heard > STALL_SECONDS)
        die("nothing came for %.0f s, after %ld messages", STALL_SECONDS, heard_in_all);
}

/* -- commands ----------------------------------------------------------------------------------------------------- */

static void begin(Mode next) {
    mode = next;
    ready = finished = 0;
    heard_in_all = bytes_in_all = 0;
    for (int i = 0; i < opened; i++) if (peers[i]) peers[i]->heard = peers[i]->said = 0;
    memset(said_in, 0, rooms * sizeof *said_in);
    used_before = cpu_seconds();
    began = last_heard = clock_now = now();
}

static long expected(void) {
    long sum = 0;
    for (int i = 0; i < rooms; i++) sum += said_in[i] * (sockets / rooms);
    return sum;
}

/* Wait for all that is on its way, and for anything that should not come. */
static void drain(void) {
    while (heard_in_all < expected()) attend_burst(0.1);
    double last = last_heard;
    for (double quiet = clock_now + 0.1; clock_now < quiet;) attend_burst(quiet - clock_now);
    for (int i = 0; i < sockets; i++)
        if (peers[i]->heard != said_in[peers[i]->room])
            die("socket %d heard %ld of %ld messages", i, peers[i]->heard, said_in[peers[i]->room]);
    last_heard = last;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(void) {
    double seconds = last_heard - began, p50 = 0, p99 = 0;
    if (mode == STEADY && heard_in_all) {
        qsort(latencies, heard_in_all, sizeof *latencies, by_size);
        p50 = latencies[heard_in_all / 2];
        p99 = latencies[heard_in_all * 99 / 100];
    }
    printf("{\"seconds\": %.6f, \"heard\": %ld, \"finished\": %d, \"bytes\": %ld, \"client\": %.3f, \"p50\": %.6f, "
           "\"p99\": %.6f}\n", seconds, heard_in_all, finished, bytes_in_all, (cpu_seconds() - used_before) / seconds,
           p50, p99);
    fflush(stdout);
    mode = IDLE;
}

static void make_rooms(int wanted) {
    rooms = wanted;
    said_in = calloc(rooms, sizeof *said_in);
}

static void do_connect(int wanted, int in_rooms, int at_once) {
    if (opened || wanted > MAX_PEERS || wanted % in_rooms) die("cannot put %d sockets in %d rooms", wanted, in_rooms);
    make_rooms(in_rooms);
    begin(CONNECTING);
    while (ready < wanted) {
        while (opened < wanted && opened - ready < at_once) open_peer(opened++);
        attend_burst(0.1);
    }
    sockets = wanted;
    while (clock_now - last_heard < QUIET_SECONDS) attend_burst(0.1);
}

static void do_saturate(double seconds, long window, int in_each_room) {
    senders = in_each_room;
    quota = window;
    begin(SATURATING);
    stop_at = began + seconds;
    for (int i = 0; i < senders * rooms; i++) say_more(peers[i]);
    while (clock_now < stop_at) attend_burst(stop_at - clock_now);
    drain();
}

static void do_steady(double seconds, double rate) {
    double gap = sockets / rooms / rate;
    long messages = seconds / gap;
    sent_at = calloc(messages, sizeof *sent_at);
    latencies = calloc(messages * (sockets / rooms), sizeof *latencies);
    begin(STEADY);
    first_serial = serial;
    for (long i = 0; i < messages;) {
        for (; i < messages && clock_now >= began + i * gap; clock_now = now()) {
            sent_at[i] = clock_now;
            say(peers[i % rooms], 1);
            i++;
        }
        attend_burst(began + i * gap - clock_now);
    }
    drain();
}

static void do_churn(int wanted, int in_rooms, int at_once) {
    int first = opened;
    if (sockets || opened + wanted > MAX_PEERS) die("cannot open %d more connections", wanted);
    if (!said_in) make_rooms(in_rooms);
    begin(CHURNING);
    while (finished < wanted) {
        while (opened - first < wanted && opened - first - finished < at_once) open_peer(opened++);
        attend_burst(0.1);
    }
}

int main(int count, char **arguments) {
    char line[256];
    int a, b, c;
    if (count != 6) die("five arguments, not %d", count - 1);
    port = atoi(arguments[1]);
    path_format = arguments[2], hello_format = arguments[3], head = arguments[4], tail = arguments[5];
    poller = epoll_create1(0);
    epoll_ctl(poller, EPOLL_CTL_ADD, 0, &(struct epoll_event){EPOLLIN, {.ptr = NULL}});
    for (;;) {
        while (!attend(-1)) continue;
        if (!fgets(line, sizeof line, stdin)) return 0;
        if (sscanf(line, "connect %d %d %d", &a, &b, &c) == 3) do_connect(a, b, c);
        else if (sscanf(line, "saturate %d %d %d", &a, &b, &c) == 3) do_saturate(a / 1e3, b, c);
        else if (sscanf(line, "steady %d %d", &a, &b) == 2) do_steady(a / 1e3, b);
        else if (sscanf(line, "churn %d %d %d", &a, &b, &c) == 3) do_churn(a, b, c);
        else die("no such command");
        report();
        free(sent_at), free(latencies);
        sent_at = latencies = NULL;
    }
}
