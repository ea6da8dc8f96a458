// One connection of an HttpServer: reads requests one after another, asks the handler, writes the
// replies. Runs on the connection's own thread. Only http_server.cc uses it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/deadline_stream.h"
#include "common/http_server.h"
#include "common/http_stream.h"

namespace elephas {

// A whole reply, header included, with which a connection is turned away and closed.
std::string RefusalReply(int status, std::string_view message);

class HttpSession {
 public:
  // Who may end the session between two requests.
  class Owner {
   public:
    virtual ~Owner() = default;
    // Both tell the owner what the session does from now on; false: the server stops, end it.
    virtual bool BecomeIdle(std::uint64_t id) = 0;
    virtual bool BecomeBusy(std::uint64_t id) = 0;
  };

  // Everything given by reference outlives the session.
  HttpSession(Owner& owner, std::uint64_t id, DeadlineStream stream,
              const HttpServer::Options& options, const HttpServer::Handler& handler);
  // Returns when the connection is to be closed; the destructor closes it.
  void Run();

 private:
  // False: the connection ends.
  bool ServeOne();
  void Refuse(int status, std::string_view message);
  bool WriteReply(const HttpReply& reply, bool head_only, bool keep_alive);
  // Lets the peer read the reply before unread bytes of its own break the connection.
  void Linger();

  Owner& owner_;
  const std::uint64_t id_;
  const HttpServer::Options& options_;
  const HttpServer::Handler& handler_;
  HttpStream stream_;
};

}  // namespace elephas
