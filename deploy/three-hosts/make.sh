#!/bin/sh
# Make every file that the hosts of a cluster need: certificates, and the settings of etcd, controller and agent.
#
#   make.sh FOLDER NAME=ADDRESS NAME=ADDRESS NAME=ADDRESS [user:NAME ...]
#   make.sh out host1=10.0.0.11 host2=10.0.0.12 host3=10.0.0.13 user:alice
#
# FOLDER/NAME/ is what lies below / on that host. FOLDER/users/ has a certificate and a key for each person: root
# (of etcd's users), admin, and those that are named. FOLDER/ca/ holds the keys of the authorities: keep it apart.
# What is there already is kept, so the command can be given again with more hosts or people; to renew a
# certificate, remove it first. Needs openssl and berth (BERTH says where it is, if not on the path).
set -eu
umask 077

CA_DAYS=3650
DAYS=365
BERTH=${BERTH:-berth}
CURVE="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"

fail() { echo "make.sh: $*" >&2; exit 1; }

[ $# -ge 2 ] || fail "say where and for which hosts: make.sh FOLDER NAME=ADDRESS ... [user:NAME ...]"
out=$1
shift
hosts="" users="root admin" endpoints="" members=""
for word in "$@"; do
    case $word in
    user:?*) users="$users ${word#user:}" ;;
    ?*=?*)
        hosts="$hosts $word"
        endpoints="$endpoints,https://${word#*=}:2379"
        members="$members,${word%%=*}=https://${word#*=}:2380"
        ;;
    *) fail "'$word' is neither NAME=ADDRESS nor user:NAME" ;;
    esac
done
[ -n "$hosts" ] || fail "there is no host; write for example host1=10.0.0.11"
endpoints=${endpoints#,} members=${members#,}

# authority NAME: one that signs, in ca/NAME.crt and ca/NAME.key
authority() {
    [ -e "$out/ca/$1.crt" ] && return
    # shellcheck disable=SC2086
    openssl req -x509 $CURVE -keyout "$out/ca/$1.key" -out "$out/ca/$1.crt" -subj "/CN=berth $1" \
        -days $CA_DAYS -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null
}

# issue AUTHORITY PATH COMMON-NAME USAGE [SUBJECT-ALTERNATIVE-NAMES]: PATH.crt and PATH.key
issue() {
    [ -e "$2.crt" ] && return
    mkdir -p "$(dirname "$2")"
    {
        echo "basicConstraints=critical,CA:FALSE"
        echo "keyUsage=critical,digitalSignature"
        echo "extendedKeyUsage=$4"
        [ -z "${5:-}" ] || echo "subjectAltName=$5"
    } >"$2.ext"
    # shellcheck disable=SC2086
    openssl req $CURVE -keyout "$2.key" -out "$2.csr" -subj "/CN=$3" 2>/dev/null
    openssl x509 -req -in "$2.csr" -CA "$out/ca/$1.crt" -CAkey "$out/ca/$1.key" -CAcreateserial \
        -out "$2.crt" -days $DAYS -extfile "$2.ext" 2>/dev/null
    rm "$2.csr" "$2.ext"
    chmod 644 "$2.crt"
}

# publish AUTHORITY FILE: its certificate, which anybody may read
publish() {
    mkdir -p "$(dirname "$2")"
    cp "$out/ca/$1.crt" "$2"
    chmod 644 "$2"
}

alternative_names() {
    case $2 in
    *[!0-9.]*) case $2 in *:*) echo "IP:$2,DNS:$1,IP:127.0.0.1" ;; *) echo "DNS:$2,DNS:$1,IP:127.0.0.1" ;; esac ;;
    *) echo "IP:$2,DNS:$1,IP:127.0.0.1" ;;
    esac
}

# settings_of_etcd NAME ADDRESS: for /etc/default/etcd, as Debian's etcd.service reads it
settings_of_etcd() {
    cat <<END
ETCD_NAME=$1
ETCD_DATA_DIR=/var/lib/etcd/berth
ETCD_LISTEN_CLIENT_URLS=https://$2:2379
ETCD_ADVERTISE_CLIENT_URLS=https://$2:2379
ETCD_LISTEN_PEER_URLS=https://$2:2380
ETCD_INITIAL_ADVERTISE_PEER_URLS=https://$2:2380
ETCD_INITIAL_CLUSTER=$members
ETCD_INITIAL_CLUSTER_STATE=new
ETCD_INITIAL_CLUSTER_TOKEN=berth
ETCD_CERT_FILE=/etc/etcd/pki/server.crt
ETCD_KEY_FILE=/etc/etcd/pki/server.key
ETCD_TRUSTED_CA_FILE=/etc/etcd/pki/ca.crt
ETCD_CLIENT_CERT_AUTH=true
ETCD_PEER_CERT_FILE=/etc/etcd/pki/peer.crt
ETCD_PEER_KEY_FILE=/etc/etcd/pki/peer.key
ETCD_PEER_TRUSTED_CA_FILE=/etc/etcd/pki/peer-ca.crt
ETCD_PEER_CLIENT_CERT_AUTH=true
# It knows users by their certificates, and the gateway would hide those behind its own.
ETCD_ENABLE_GRPC_GATEWAY=false
ETCD_QUOTA_BACKEND_BYTES=2147483648
END
}

# settings_of ROLE: what every part of Berth is told about etcd
settings_of() {
    cat <<END
BERTH_ETCD=$endpoints
BERTH_CACERT=/etc/berth/pki/ca.crt
BERTH_CERT=/etc/berth/pki/$1.crt
BERTH_KEY=/etc/berth/pki/$1.key
END
}

options_of_controller() {
    pki=/etc/berth/pki
    echo "--address $1 --listen $1:7602" \
        "--server-cert $pki/controller-server.crt --server-key $pki/controller-server.key --client-ca $pki/ca.crt" \
        "--secret-key $pki/secrets.key"
}

options_of_agent() {
    pki=/etc/berth/pki
    echo "--node $1 --address $2 --listen $2:7601" \
        "--server-cert $pki/agent-server.crt --server-key $pki/agent-server.key --client-ca $pki/ca.crt"
}

mkdir -p "$out/ca"
# What secrets are sealed to; all controllers have the same. Without it no secret can be opened again.
[ -e "$out/ca/secrets.key" ] || "$BERTH" secret keygen "$out/ca/secrets.key" >/dev/null
authority ca      # signs who speaks to etcd, to controllers and to agents
authority peer-ca # signs members of etcd, and nothing else: who has such a certificate may join

for host in $hosts; do
    name=${host%%=*} address=${host#*=} etc=$out/${host%%=*}/etc
    names=$(alternative_names "$name" "$address")
    publish ca "$etc/etcd/pki/ca.crt"
    publish peer-ca "$etc/etcd/pki/peer-ca.crt"
    issue ca "$etc/etcd/pki/server" "etcd-$name" serverAuth "$names"
    issue peer-ca "$etc/etcd/pki/peer" "etcd-$name" serverAuth,clientAuth "$names"
    publish ca "$etc/berth/pki/ca.crt"
    issue ca "$etc/berth/pki/controller" controller clientAuth
    issue ca "$etc/berth/pki/controller-server" "controller-server-$name" serverAuth "$names"
    cp "$out/ca/secrets.key" "$etc/berth/pki/secrets.key"
    issue ca "$etc/berth/pki/agent" "agent-$name" clientAuth
    issue ca "$etc/berth/pki/agent-server" "agent-server-$name" serverAuth "$names"
    mkdir -p "$etc/default"
    settings_of_etcd "$name" "$address" >"$etc/default/etcd"
    { settings_of controller; echo "BERTH_CONTROLLER_OPTIONS=$(options_of_controller "$address")"; } >"$etc/berth/controller.env"
    { settings_of agent; echo "BERTH_AGENT_OPTIONS=$(options_of_agent "$name" "$address")"; } >"$etc/berth/agent.env"
    chmod 755 "$out/$name" "$etc" "$etc/default" "$etc/etcd" "$etc/etcd/pki" "$etc/berth" "$etc/berth/pki"
    chmod 644 "$etc/default/etcd" "$etc/berth/controller.env" "$etc/berth/agent.env"
done

publish ca "$out/users/ca.crt"
for user in $users; do
    issue ca "$out/users/$user" "$user" clientAuth
done
echo "made $out: hosts$(for host in $hosts; do printf ' %s' "${host%%=*}"; done); users $users"
