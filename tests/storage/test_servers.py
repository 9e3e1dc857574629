"""The servers of the tests start, hold objects and can be told apart."""

from fix_server import Server, _client


def test_each_server_stores_an_object(moto_server: Server, seaweedfs: Server, rclone_server: Server) -> None:
    for server in (moto_server, seaweedfs, rclone_server):
        bucket = server.create_bucket()
        client = _client(server.url, server.access_key, server.secret_key)
        client.put_object(Bucket=bucket, Key="a", Body=b"1")

        assert client.get_object(Bucket=bucket, Key="a")["Body"].read() == b"1"
