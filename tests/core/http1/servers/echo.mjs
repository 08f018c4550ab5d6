// Echoes bodies and one header; node sends them in chunks.
import { createServer } from "node:http";

createServer((request, response) => {
  const number = request.headers["x-number"];
  if (number !== undefined) response.setHeader("X-Number", number);
  const pieces = [];
  request.on("data", (piece) => pieces.push(piece));
  request.on("end", () => {
    for (const piece of pieces) response.write(piece);
    response.end();
  });
}).listen(Number(process.argv[2]), "127.0.0.1");
