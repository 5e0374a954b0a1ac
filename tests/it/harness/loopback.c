/* Preloaded into servers that would listen on every address: they listen on 127.0.0.1 instead. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netinet/in.h>
#include <sys/socket.h>

int bind(int socket, const struct sockaddr *address, socklen_t length) {
    int (*real)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "bind");
    struct sockaddr_in own;
    if (address->sa_family != AF_INET || length < sizeof own) return real(socket, address, length);
    own = *(const struct sockaddr_in *)address;
    own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return real(socket, (const struct sockaddr *)&own, sizeof own);
}
