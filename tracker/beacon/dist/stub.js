(()=>{(n=>{for(let o of["track","identify","logout","consent"])n[o]=(...t)=>n.push([o,...t])})(window.millrace||=[]);})();
